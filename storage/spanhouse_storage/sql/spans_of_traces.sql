-- The latest version of every span of the given traces. The odd-date bucket (1970) is always looked through: a span
-- whose clock was wrong belongs to its trace whatever the time asked for.
SELECT $columns
FROM spans
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
  AND $bounds
ORDER BY version DESC
LIMIT 1 BY tenant, trace_id, span_id
