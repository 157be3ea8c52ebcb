SELECT tenant, run_id FROM steps FINAL WHERE $where AND $bound
