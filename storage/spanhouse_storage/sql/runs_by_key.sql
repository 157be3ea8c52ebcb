-- Wide rows for the keys of one page.
SELECT $columns
FROM runs FINAL
WHERE (tenant, toStartOfHour(started_at), run_id) IN {keys:Array(Tuple(String, DateTime('UTC'), String))}
  AND started_at >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND started_at < fromUnixTimestamp64Nano({last:Int64}, 'UTC')
