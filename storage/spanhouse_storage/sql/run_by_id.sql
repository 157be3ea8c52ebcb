-- The newest version under each sorting key (a run whose start moved to another hour has two), live ones first.
SELECT $columns, is_deleted AS deleted, superseded_by AS successor
FROM runs
WHERE run_id = {run_id:String} AND $tenant
ORDER BY version DESC
LIMIT 1 BY tenant, toStartOfHour(started_at), run_id
