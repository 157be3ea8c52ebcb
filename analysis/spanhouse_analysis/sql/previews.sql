-- Input and output of a few spans, cut to what a preview can need.
SELECT tenant, trace_id, span_id, substring(input, 1, 65536) AS input, substring(output, 1, 65536) AS output
FROM spans
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
  AND span_id IN {spans:Array(String)}
  AND $bounds
ORDER BY version DESC
LIMIT 1 BY tenant, trace_id, span_id
