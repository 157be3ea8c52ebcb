-- Runs, or traces where a score does not say its run, with such a score.
SELECT tenant, if(run_id != '', run_id, trace_id) AS of FROM scores FINAL WHERE $where AND (run_id != '' OR trace_id != '')
