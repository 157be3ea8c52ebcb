SELECT $columns
FROM steps FINAL
WHERE kind != 'usage' AND (tenant, run_id) IN {runs:Array(Tuple(String, String))}
ORDER BY tenant, run_id, seq
