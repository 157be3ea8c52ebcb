-- The rows of a table under a condition, by week and tenant: how many, and between which times.
SELECT
    _partition_id AS partition,
    tenant,
    count() AS rows,
    min(toDateTime64($time, 9, 'UTC')) AS first,
    max(toDateTime64($time, 9, 'UTC')) AS last
FROM $table
WHERE $condition
GROUP BY partition, tenant
ORDER BY partition, tenant
