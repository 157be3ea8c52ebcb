-- Buckets of a window that changed since their parts were computed, whichever tenant's.
SELECT DISTINCT level, toUnixTimestamp(bucket) AS bucket
FROM metric_parts FINAL
WHERE source = {source:String} AND dirty
    AND bucket >= toStartOfDay(fromUnixTimestamp({since:Int64}), 'UTC') AND bucket < fromUnixTimestamp({until:Int64})
