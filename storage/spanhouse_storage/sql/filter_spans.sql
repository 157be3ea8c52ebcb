-- Runs, or traces where a span does not say its run, with such a span.
SELECT tenant, if(run_hint != '', run_hint, trace_id) AS of FROM spans FINAL WHERE $where AND $bound
