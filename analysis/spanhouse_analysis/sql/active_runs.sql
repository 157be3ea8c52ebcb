SELECT $columns
FROM runs FINAL
WHERE $where AND status = 'running'
