-- Spans that log records told of, by their traces, each in its latest version.
SELECT $columns
FROM spans
WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)} AND bitAnd(flags, {derived:UInt32}) != 0
ORDER BY version DESC
LIMIT 1 BY trace_id, span_id
