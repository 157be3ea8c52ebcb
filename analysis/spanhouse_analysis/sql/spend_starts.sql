-- When the runs began whose calls ended in a window: bounds the exact read by partitions. Superseded rows can only make it
-- wider.
SELECT toUnixTimestamp64Nano(min(run_started_at)) AS first, toUnixTimestamp64Nano(max(run_started_at)) AS last
FROM steps
WHERE $where
