-- How many audit events of each run are stored; one that was sent again counts once.
SELECT tenant, stream AS run_id, uniqExact(seq) AS stored
FROM audit_events
WHERE (tenant, stream) IN {runs:Array(Tuple(String, String))}
GROUP BY tenant, stream
