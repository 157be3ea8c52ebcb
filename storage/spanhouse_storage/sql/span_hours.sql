-- How many spans there are by tenant and hour of their start; none that was made from a log record.
SELECT tenant, toUnixTimestamp(toStartOfHour(bucket)) AS hour, count() AS spans
FROM spans FINAL
WHERE $where AND bitAnd(flags, {derived:UInt32}) = 0
GROUP BY tenant, hour
ORDER BY tenant, hour
