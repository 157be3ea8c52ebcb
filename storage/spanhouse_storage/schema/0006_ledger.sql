-- What became of every record received, one row for each batch stored: its lines, as arrays of one length. A batch stored
-- again after a crash replaces its row whole, however it fared this time. In every line received = stored + rejected +
-- sampled_out + duplicated, and late is part of stored. `minutes` counts minutes of receipt since 1970.
CREATE TABLE IF NOT EXISTS ledger
(
    first_received  DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_received   DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    token           String CODEC(ZSTD(1)),
    version         UInt64 CODEC(Delta, ZSTD(1)),
    tenants         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    minutes         Array(UInt64) CODEC(ZSTD(1)),
    signals         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    sources         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    reasons         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    received        Array(UInt64) CODEC(ZSTD(1)),
    stored          Array(UInt64) CODEC(ZSTD(1)),
    rejected        Array(UInt64) CODEC(ZSTD(1)),
    sampled_out     Array(UInt64) CODEC(ZSTD(1)),
    late            Array(UInt64) CODEC(ZSTD(1)),
    duplicated      Array(UInt64) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(first_received)
ORDER BY (first_received, token)
TTL toDateTime(first_received) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Audit events the SDK wrote for a run, said on the run's span; compared with the events stored.
ALTER TABLE spans ADD COLUMN IF NOT EXISTS audit_expected Nullable(UInt32) CODEC(ZSTD(1)) AFTER spans_expected;

ALTER TABLE runs ADD COLUMN IF NOT EXISTS audit_expected Nullable(UInt32) CODEC(ZSTD(1)) AFTER spans_expected
