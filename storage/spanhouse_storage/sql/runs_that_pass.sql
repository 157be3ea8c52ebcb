SELECT tenant, run_id FROM runs FINAL WHERE $where
