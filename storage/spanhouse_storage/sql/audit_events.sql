SELECT $columns
FROM audit_events FINAL
WHERE $where AND $after
ORDER BY time $direction, stream $direction, seq $direction
LIMIT {limit:UInt32}
