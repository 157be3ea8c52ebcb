-- Spans of one tenant and hour by their keys, each in its latest version.
SELECT $columns
FROM spans
WHERE tenant = {tenant:String} AND toStartOfHour(bucket) = fromUnixTimestamp({hour:Int64})
  AND (trace_id, span_id) IN {keys:Array(Tuple(String, String))}
ORDER BY version DESC
LIMIT 1 BY trace_id, span_id
