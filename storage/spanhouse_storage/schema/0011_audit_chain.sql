-- The hash chain of audit events: empty on events whose sender does not chain them.
ALTER TABLE audit_events
    ADD COLUMN IF NOT EXISTS prev_hash String CODEC(NONE) AFTER event_version,
    ADD COLUMN IF NOT EXISTS hash      String CODEC(NONE) AFTER prev_hash,
    ADD COLUMN IF NOT EXISTS body_hash String CODEC(NONE) AFTER hash
