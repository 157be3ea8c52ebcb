-- What log records say of the content of traces' spans, in the order it was said.
SELECT tenant, trace_id, span_id, record_id, time, input, output, system_instructions, tool_definitions
FROM messages
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))} AND $chosen
ORDER BY time, record_id, version DESC
LIMIT 1 BY tenant, trace_id, span_id, record_id
