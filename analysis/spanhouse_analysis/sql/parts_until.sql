-- Up to when buckets of metric parts are computed, by level.
SELECT level, toUnixTimestamp(argMax(until, version)) AS until FROM metric_parts_until WHERE layout = {layout:String} GROUP BY level
