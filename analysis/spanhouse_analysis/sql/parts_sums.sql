-- Kept parts of some buckets, added up by group.
SELECT $keys, min(first) AS first_ns, max(estimated) AS sampled, $sums
FROM
(
    SELECT tenant, bucket, groups, firsts, sampled AS sampled_groups, sums
    FROM metric_parts FINAL
    WHERE source = {source:String} AND layout = {layout:String} AND NOT dirty
        AND ((level = 86400 AND bucket IN {days:Array(DateTime('UTC'))})
            OR (level = 3600 AND bucket IN {hours:Array(DateTime('UTC'))}))
)
ARRAY JOIN groups AS g, firsts AS first, sampled_groups AS estimated, sums AS v
WHERE $condition
GROUP BY $by
