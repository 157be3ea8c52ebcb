-- Buckets that were marked before a version, the oldest marks first.
SELECT level, tenant, toUnixTimestamp(bucket) AS bucket
FROM metric_parts FINAL
WHERE source = 'runs' AND dirty AND version < {before:UInt64}
ORDER BY version, tenant, level, bucket
LIMIT {limit:UInt32}
