SELECT DISTINCT record_id FROM logs
WHERE tenant = {tenant:String} AND session_id = {value:String} AND trace_id = ''
