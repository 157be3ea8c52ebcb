DELETE FROM $table
WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
    AND received_at <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')
    AND (bucket >= fromUnixTimestamp({since:Int64}) OR bucket = fromUnixTimestamp(0))
SETTINGS lightweight_deletes_sync = 0
