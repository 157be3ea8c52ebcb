-- The keys of one page; `sort_key` is whatever the page is ordered by, as an integer that a cursor carries exactly.
SELECT tenant, toStartOfHour(started_at) AS hour, run_id, $sort_key AS sort_key
FROM runs FINAL
WHERE $where AND $after
ORDER BY sort_key $direction, run_id $direction
LIMIT {limit:UInt32}
