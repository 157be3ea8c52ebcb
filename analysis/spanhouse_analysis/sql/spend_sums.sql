-- Sums over the calls that ended in a window. A denied call was never made; plans and waits cost nothing.
SELECT $columns
FROM steps FINAL
WHERE kind IN ('model', 'tool', 'usage') AND status != 'denied' AND $where AND $started
GROUP BY $groups
