-- A part of fewer bytes, before compression, keeps its columns in one file. With a file or three a column, an insert wrote
-- and synced some two hundred files, which was two thirds of its cost; merged parts of such size are few and short-lived.
-- And a merge waits for ten parts of like size, not five: each row is rewritten less often, and more parts lie about.
-- Measured in docs/adr/0009-facts-from-memory.md.
ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 10;

ALTER TABLE logs MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 10;

ALTER TABLE audit_events MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 10;

ALTER TABLE runs MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 10;

ALTER TABLE steps MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 10
