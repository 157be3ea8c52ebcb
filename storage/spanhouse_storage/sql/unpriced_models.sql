-- Models of which calls were made at a price nobody knows, and how many runs called them.
SELECT arrayJoin(unpriced_models) AS model, count() AS runs
FROM runs FINAL
WHERE started_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
GROUP BY model
ORDER BY runs DESC, model
LIMIT {limit:UInt32}
