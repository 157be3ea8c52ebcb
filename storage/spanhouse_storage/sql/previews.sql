SELECT
    tenant,
    trace_id,
    span_id,
    substringUTF8(s.input, 1, {characters:UInt32}) AS input,
    substringUTF8(s.output, 1, {characters:UInt32}) AS output
FROM spans AS s
WHERE (tenant, trace_id, span_id) IN {spans:Array(Tuple(String, String, String))}
ORDER BY version DESC
LIMIT 1 BY tenant, trace_id, span_id
