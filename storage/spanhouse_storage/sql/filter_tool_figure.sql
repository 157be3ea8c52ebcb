-- Runs whose calls of one tool add up so.
SELECT tenant, run_id FROM steps FINAL WHERE kind = 'tool' AND tool = $tool AND $bound
GROUP BY tenant, run_id HAVING $having
