-- The last event of each stream that received one since a time, how many it has, and how many came since then.
SELECT
    tenant,
    stream,
    max(seq) AS last_seq,
    argMax(hash, (seq, version)) AS last_hash,
    uniqExact(seq) AS events,
    countIf(received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AS fresh
FROM audit_events
WHERE (tenant, stream) IN (
    SELECT tenant, stream FROM audit_events WHERE received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
)
GROUP BY tenant, stream
ORDER BY tenant, stream
