-- Kept buckets of some distributions, added up by group. A distribution has a million keys.
SELECT $keys, k, sum(w) AS w
FROM
(
    SELECT tenant, bucket, g, ks, ws
    FROM
    (
        SELECT tenant, bucket, groups, sketch_keys, sketch_weights
        FROM metric_parts FINAL
        WHERE source = {source:String} AND layout = {layout:String} AND NOT dirty
            AND ((level = 86400 AND bucket IN {days:Array(DateTime('UTC'))})
                OR (level = 3600 AND bucket IN {hours:Array(DateTime('UTC'))}))
    )
    ARRAY JOIN groups AS g, sketch_keys AS ks, sketch_weights AS ws
    WHERE $condition
)
ARRAY JOIN ks AS k, ws AS w
WHERE intDiv(k, 1000000) IN {places:Array(Int64)}
GROUP BY $by, k
