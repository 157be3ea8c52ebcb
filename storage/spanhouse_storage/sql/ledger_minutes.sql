-- The same by minute, tenant, signal and source, newest first; `reasons` says how many were refused why.
SELECT line.minute AS minute, line.tenant AS tenant, line.signal AS signal, line.source AS source,
    sum(line.received) AS received, sum(line.stored) AS stored, sum(line.rejected) AS rejected,
    sum(line.sampled_out) AS sampled_out, sum(line.late) AS late, sum(line.duplicated) AS duplicated,
    (sumMapIf([line.reason], [line.rejected], line.reason != '') AS refused).1 AS reasons,
    refused.2 AS reason_counts
FROM ($lines) AS line
GROUP BY line.minute, line.tenant, line.signal, line.source
ORDER BY minute DESC, tenant, signal, source
LIMIT {limit:UInt32}
