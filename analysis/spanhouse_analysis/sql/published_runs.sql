-- What was published of some traces: the keys of their live runs and how many steps each has.
SELECT
    runs.tenant AS tenant,
    runs.trace_id AS trace_id,
    runs.run_id AS run_id,
    runs.started_at AS started_at,
    runs.status = 'ended' AS ended,
    toUInt32(count(steps.seq)) AS step_rows,
    any(runs.ended_at) AS ended_at,
    any(runs.weight) AS weight
FROM (SELECT * FROM runs FINAL WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))} AND $bounds) AS runs
LEFT JOIN
(
    SELECT tenant, run_id, seq, run_started_at
    FROM steps FINAL
    WHERE $step_bounds AND (tenant, run_id) IN
    (
        SELECT tenant, run_id FROM runs FINAL
        WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))} AND $bounds
    )
) AS steps
    ON steps.tenant = runs.tenant AND steps.run_id = runs.run_id
GROUP BY tenant, trace_id, run_id, started_at, ended
SETTINGS join_use_nulls = 1
