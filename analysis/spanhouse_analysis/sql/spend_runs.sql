-- The runs whose calls in a window add up to most.
SELECT run_id, sum($value) AS total
FROM steps FINAL
WHERE kind IN ('model', 'tool', 'usage') AND status != 'denied' AND $where AND $started
GROUP BY tenant, run_id
HAVING total > 0
ORDER BY total DESC, run_id
LIMIT {limit:UInt32}
