-- The hours whose metrics have to do with some runs, or with what sampled-out traces of these ids spent.
SELECT DISTINCT toUnixTimestamp(toStartOfHour(assumeNotNull(ended))) AS hour
FROM
(
    SELECT ended_at AS ended FROM runs WHERE tenant = {tenant:String} AND run_id IN {ids:Array(String)}
    UNION ALL
    SELECT ended_at AS ended FROM steps WHERE tenant = {tenant:String} AND run_id IN {ids:Array(String)}
)
WHERE isNotNull(ended)
