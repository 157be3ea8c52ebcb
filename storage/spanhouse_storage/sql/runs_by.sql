SELECT $columns
FROM runs FINAL
WHERE $column = {id:String} AND $tenant
ORDER BY started_at, run_id
LIMIT {limit:UInt32}
