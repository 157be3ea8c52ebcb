-- Those of some runs that pass a filter.
SELECT $columns
FROM runs FINAL
WHERE (tenant, run_id) IN {among:Array(Tuple(String, String))} AND $where
