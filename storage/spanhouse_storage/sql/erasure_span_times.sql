SELECT minOrNull(start) AS first, maxOrNull(start) AS last FROM spans
WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)}
