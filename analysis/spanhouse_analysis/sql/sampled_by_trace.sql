-- What was decided about some traces.
SELECT tenant, trace_id, decided_at, first_start, state, runs, spans
FROM sampled_traces FINAL
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
