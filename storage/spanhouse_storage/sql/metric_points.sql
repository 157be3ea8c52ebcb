SELECT $columns
FROM metric_points FINAL
WHERE name = {name:String} AND $where AND $after
ORDER BY time, tenant, series
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
