SELECT DISTINCT run_id FROM
(
    SELECT run_id FROM runs WHERE tenant = {tenant:String} AND user_id = {value:String}
    UNION ALL
    SELECT run_id FROM steps WHERE tenant = {tenant:String} AND user_id = {value:String}
)
WHERE run_id != ''
