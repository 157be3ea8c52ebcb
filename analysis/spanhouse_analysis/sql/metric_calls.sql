-- Requested tool calls of the ended runs of a window.
SELECT $columns
FROM steps FINAL
WHERE kind = 'tool' AND $tools AND (tenant, run_id) IN
(
    SELECT tenant, run_id FROM runs FINAL WHERE $where AND status = 'ended' AND $started
)
