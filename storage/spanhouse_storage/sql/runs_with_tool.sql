SELECT tenant, run_id FROM steps FINAL WHERE tool IN @values AND $bound
