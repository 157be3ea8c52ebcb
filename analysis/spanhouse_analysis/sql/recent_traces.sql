-- The traces of spans that start after a time, or at a time that cannot be.
SELECT DISTINCT CRC32(concat(tenant, '/', trace_id)) AS sum
FROM spans
WHERE bucket >= fromUnixTimestamp({since:Int64}) OR bucket = fromUnixTimestamp(0)
