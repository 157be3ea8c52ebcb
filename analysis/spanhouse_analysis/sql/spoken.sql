-- Which of some model spans hold output messages: the last evidence that a model answered.
SELECT tenant, trace_id, span_id
FROM
(
    SELECT tenant, trace_id, span_id, startsWith(output, '[') AS said
    FROM spans
    WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
      AND span_id IN {spans:Array(String)}
      AND $bounds
    ORDER BY version DESC
    LIMIT 1 BY tenant, trace_id, span_id
)
WHERE said
