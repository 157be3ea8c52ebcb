SELECT DISTINCT user_id FROM spans WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
