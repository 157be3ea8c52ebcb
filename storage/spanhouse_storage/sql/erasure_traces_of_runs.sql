SELECT DISTINCT trace_id FROM
(
    SELECT trace_id FROM spans WHERE tenant = {tenant:String} AND run_hint IN {runs:Array(String)}
    UNION ALL
    SELECT trace_id FROM runs WHERE tenant = {tenant:String} AND run_id IN {runs:Array(String)}
    UNION ALL
    SELECT trace_id FROM audit_events WHERE tenant = {tenant:String} AND run_id IN {runs:Array(String)}
    UNION ALL
    SELECT trace_id FROM scores WHERE tenant = {tenant:String} AND run_id IN {runs:Array(String)}
)
WHERE trace_id != ''
