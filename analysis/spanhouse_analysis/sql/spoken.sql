-- Which of some model spans hold output messages: the last evidence that a model answered.
SELECT DISTINCT tenant, trace_id, span_id
FROM spans
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
  AND span_id IN {spans:Array(String)}
  AND startsWith(output, '[')
  AND $bounds
