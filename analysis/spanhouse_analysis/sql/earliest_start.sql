-- When the earliest run that ended since a time began: bounds the exact read by partitions. Superseded rows can only
-- make it earlier.
SELECT toUnixTimestamp64Nano(min(started_at)) AS started
FROM runs
WHERE ended_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
