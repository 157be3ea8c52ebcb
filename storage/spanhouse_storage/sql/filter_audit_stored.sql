-- Runs of which so many audit events are stored.
SELECT tenant, stream FROM audit_events WHERE stream != 'control' GROUP BY tenant, stream HAVING $having
