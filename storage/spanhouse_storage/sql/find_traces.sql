-- Newest traces that hold a span with this id in the one column looked at.
SELECT
    tenant,
    trace_id,
    {kind:String} AS matched_by,
    min(start) AS first_start,
    max(start) AS last_start
FROM spans
WHERE $column = {id:String} AND $tenant
GROUP BY tenant, trace_id
ORDER BY last_start DESC, tenant, trace_id
LIMIT {limit:UInt32}
