SELECT DISTINCT run_id FROM
(
    SELECT run_id FROM runs WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
    UNION ALL
    SELECT run_hint AS run_id FROM spans WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
    UNION ALL
    SELECT run_id FROM audit_events WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
)
WHERE run_id != ''
