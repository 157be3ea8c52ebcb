-- Hashes of the records of some traces that the ledger has moved already.
SELECT tenant, trace_id, records
FROM sampled_traces FINAL
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
