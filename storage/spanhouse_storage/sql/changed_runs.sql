-- Runs of which a newer row came, as that row has them; one that was withdrawn is not among them.
SELECT
    tenant,
    run_id,
    maxIf(version, is_deleted = 0) AS newest,
    argMaxIf(status, version, is_deleted = 0) = 'ended' AS is_over,
    argMaxIf(started_at, version, is_deleted = 0) AS began
FROM runs
WHERE version > {since:UInt64}
GROUP BY tenant, run_id
HAVING newest = max(version)
ORDER BY newest, tenant, run_id
LIMIT {limit:UInt32}
