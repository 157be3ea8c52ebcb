-- Keys of the next spans of one tenant and hour, in the order of the table, and how long what they say is.
SELECT trace_id, span_id,
    length(input) + length(output) + length(system_instructions) + length(tool_definitions) + length(events)
        + arraySum(x -> length(x), mapValues(attributes)) AS size
FROM spans FINAL
WHERE tenant = {tenant:String} AND toStartOfHour(bucket) = fromUnixTimestamp({hour:Int64})
  AND $where AND bitAnd(flags, {derived:UInt32}) = 0
  AND trace_id >= {after_trace:String} AND (trace_id, span_id) > ({after_trace:String}, {after_span:String})
ORDER BY trace_id, span_id
LIMIT {limit:UInt32}
