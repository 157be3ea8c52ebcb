-- Ended runs of a window, as narrow as the metrics asked for.
SELECT $columns
FROM runs FINAL
WHERE $where AND status = 'ended' AND $started
