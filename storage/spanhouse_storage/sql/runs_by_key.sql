SELECT $columns
FROM runs FINAL
WHERE (tenant, toStartOfHour(started_at), run_id) IN
  (SELECT tupleElement(key, 1), fromUnixTimestamp(tupleElement(key, 2)), tupleElement(key, 3)
   FROM (SELECT arrayJoin({keys:Array(Tuple(String, Int64, String))}) AS key))
  AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND started_at < fromUnixTimestamp64Nano({last:Int64}, 'UTC')
