-- Runs of which fewer spans or audit events are stored than the SDK says it made.
SELECT made.tenant, made.run_id
FROM (
    SELECT tenant, run_id, spans_stored, spans_expected, audit_expected
    FROM runs FINAL
    WHERE (isNotNull(spans_expected) OR isNotNull(audit_expected)) AND $bound
) AS made
LEFT JOIN (
    SELECT tenant, stream, uniqExact(seq) AS stored FROM audit_events WHERE stream != 'control' GROUP BY tenant, stream
) AS trail ON trail.tenant = made.tenant AND trail.stream = made.run_id
WHERE ifNull(made.spans_stored < made.spans_expected, 0) OR ifNull(trail.stored < made.audit_expected, 0)
