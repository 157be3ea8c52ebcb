-- How many runs ended in a window, about: versions that were replaced count too.
SELECT count() AS runs
FROM runs
WHERE ended_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND ended_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
