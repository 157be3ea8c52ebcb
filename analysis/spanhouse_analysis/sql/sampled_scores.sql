-- Those of some traces with a low score.
SELECT DISTINCT tenant, trace_id
FROM scores FINAL
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))} AND name = {name:String} AND value < {value:Float64}
