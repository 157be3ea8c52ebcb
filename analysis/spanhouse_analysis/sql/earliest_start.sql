-- When the earliest run that ended in a window began: bounds the exact read by partitions. Superseded rows can only
-- make it earlier.
SELECT toUnixTimestamp64Nano(min(started_at)) AS started
FROM runs
WHERE ended_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
    AND ended_at < fromUnixTimestamp64Nano({until:Int64}, 'UTC')
