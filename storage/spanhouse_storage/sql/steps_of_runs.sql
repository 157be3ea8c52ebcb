SELECT $columns
FROM steps FINAL
WHERE (tenant, run_id) IN {runs:Array(Tuple(String, String))}
ORDER BY tenant, run_id, seq
