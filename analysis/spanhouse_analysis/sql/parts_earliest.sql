-- The first hour in which a run or call ended; 0 where there is none.
SELECT toUnixTimestamp(toStartOfHour(least(
    ifNull((SELECT min(ended_at) FROM runs WHERE ended_at > fromUnixTimestamp64Nano(0, 'UTC')), now64(9)),
    ifNull((SELECT minOrNull(ended_at) FROM steps WHERE ended_at > fromUnixTimestamp64Nano(0, 'UTC')), now64(9))
))) AS first
WHERE (SELECT count() FROM runs WHERE isNotNull(ended_at)) + (SELECT count() FROM steps) > 0
