-- Traces and spans that log records of some traces belong to.
SELECT DISTINCT trace_id, span_id
FROM logs FINAL
WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
