SELECT DISTINCT trace_id FROM
(
    SELECT trace_id FROM spans WHERE tenant = {tenant:String} AND session_id = {value:String}
    UNION ALL
    SELECT trace_id FROM runs WHERE tenant = {tenant:String} AND session_id = {value:String}
    UNION ALL
    SELECT trace_id FROM logs WHERE tenant = {tenant:String} AND session_id = {value:String}
)
WHERE trace_id != ''
