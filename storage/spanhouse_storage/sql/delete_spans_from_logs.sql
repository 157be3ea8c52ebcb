-- Spans that log records told of once and none tells of any more.
DELETE FROM spans
WHERE tenant = {tenant:String} AND (trace_id, span_id) IN {keys:Array(Tuple(String, String))}
  AND bitAnd(flags, {derived:UInt32}) != 0
