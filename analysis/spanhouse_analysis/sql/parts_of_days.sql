-- Parts of whole days from those of their hours: one row a tenant and day, its groups as arrays.
SELECT
    tenant,
    day AS bucket,
    groupArray(g) AS groups,
    groupArray(first) AS firsts,
    groupArray(estimated) AS sampled,
    groupArray(total) AS sums,
    groupArray(sketch.1) AS sketch_keys,
    groupArray(sketch.2) AS sketch_weights
FROM
(
    SELECT
        tenant,
        toInt64(intDiv(toUnixTimestamp(hour), 86400) * 86400) AS day,
        g,
        min(f) AS first,
        max(s) AS estimated,
        sumForEach(v) AS total,
        sumMap(ks, ws) AS sketch
    FROM
    (
        SELECT tenant, bucket AS hour, groups, firsts, sampled, sums, sketch_keys, sketch_weights
        FROM metric_parts FINAL
        WHERE source = {source:String} AND layout = {layout:String} AND level = 3600 AND NOT dirty
            AND intDiv(toUnixTimestamp(bucket), 86400) * 86400 IN {days:Array(UInt32)}
            AND (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    )
    ARRAY JOIN groups AS g, firsts AS f, sampled AS s, sums AS v, sketch_keys AS ks, sketch_weights AS ws
    GROUP BY tenant, day, g
)
GROUP BY tenant, day
