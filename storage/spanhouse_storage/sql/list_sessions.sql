-- One row a session: what its runs add up to, and how the last of them ended.
SELECT
    tenant,
    session_id,
    count() AS s_runs,
    countIf(status = 'running') AS s_running,
    countIf(completed) AS s_completed,
    arraySort(groupUniqArrayIf(100)(user_id, user_id != '')) AS s_users,
    arraySort(groupUniqArrayIf(100)(agent, agent != '')) AS s_agents,
    min(started_at) AS s_first,
    max(greatest(started_at, ifNull(ended_at, started_at))) AS s_last,
    sum(input_tokens) AS s_input_tokens,
    sum(output_tokens) AS s_output_tokens,
    round(sum(cost_usd), 9) AS s_cost_usd,
    argMax(run_id, (started_at, run_id)) AS s_last_run_id,
    argMax(status, (started_at, run_id)) AS s_last_status,
    argMax(stop_reason, (started_at, run_id)) AS s_last_stop_reason,
    $sort_key AS sort_key
FROM runs FINAL
WHERE session_id != '' AND $where
GROUP BY tenant, session_id
HAVING $after
ORDER BY sort_key $direction, tenant $direction, session_id $direction
LIMIT {limit:UInt32}
