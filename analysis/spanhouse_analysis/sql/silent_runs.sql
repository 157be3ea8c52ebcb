-- Runs without an end of which nothing was received since a time.
SELECT DISTINCT tenant, trace_id
FROM runs FINAL
WHERE status = 'running' AND received_at <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')
LIMIT 10000
