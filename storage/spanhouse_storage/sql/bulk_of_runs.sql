-- Runs that pass a filter, by a key that rows of another table share with them.
SELECT tenant, $column FROM runs FINAL WHERE $where
