-- Traces with an answer that has such a score; an answer is named by the id its model gave it.
SELECT tenant, if(run_hint != '', run_hint, trace_id) AS of
FROM spans FINAL
WHERE response_id != '' AND (tenant, response_id) IN
(
    SELECT tenant, response_id FROM scores FINAL WHERE $where AND run_id = '' AND trace_id = '' AND response_id != ''
)
