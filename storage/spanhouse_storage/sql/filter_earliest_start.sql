-- The second the earliest run began that ended in a window; superseded rows can only make it earlier.
SELECT intDiv(toUnixTimestamp64Nano(min(started_at)), 1000000000) FROM runs WHERE $ended
