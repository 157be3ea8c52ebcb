-- How many log records that may tell of something else there are by tenant and hour.
SELECT tenant, toUnixTimestamp(toStartOfHour(bucket)) AS hour, count() AS records
FROM logs FINAL
WHERE $where
GROUP BY tenant, hour
ORDER BY tenant, hour
