-- Traces that were sampled out and whose spans are still there.
SELECT tenant, trace_id, decided_at, first_start, state, runs, spans
FROM sampled_traces FINAL
WHERE state = 'out'
