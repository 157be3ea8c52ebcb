SELECT DISTINCT response_id FROM spans
WHERE tenant = {tenant:String} AND trace_id IN {traces:Array(String)} AND response_id != ''
