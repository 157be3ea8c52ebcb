-- Those of some traces with a span that says that it is to be kept.
SELECT DISTINCT tenant, trace_id
FROM spans
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
    AND (bucket >= fromUnixTimestamp({since:Int64}) OR bucket = fromUnixTimestamp(0))
    AND lower(attributes[{key:String}]) IN ('true', '1')
