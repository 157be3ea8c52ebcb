-- The next of them in one tenant and hour, in the order of the table, each in its latest version.
SELECT $columns
FROM logs FINAL
WHERE tenant = {tenant:String} AND toStartOfHour(bucket) = fromUnixTimestamp({hour:Int64}) AND $where
  AND (time, record_id) > (fromUnixTimestamp64Nano({after_time:Int64}, 'UTC'), {after_record:String})
ORDER BY time, record_id
LIMIT {limit:UInt32}
