SELECT DISTINCT run_id FROM runs WHERE tenant = {tenant:String} AND session_id = {value:String} AND run_id != ''
