-- The latest version of every span of the given traces.
SELECT $columns
FROM spans
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
  AND $bounds
ORDER BY version DESC
LIMIT 1 BY tenant, trace_id, span_id
