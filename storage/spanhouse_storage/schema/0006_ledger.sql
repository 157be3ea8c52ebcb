-- What became of every record received: counts by receive minute, written once for each batch. `token` names the batch,
-- and a batch that is stored again after a crash replaces its rows: reads take each token's newest version alone.
-- In every row received = stored + rejected + sampled_out + duplicated; late is part of stored.
CREATE TABLE IF NOT EXISTS ledger
(
    tenant       LowCardinality(String) CODEC(ZSTD(1)),
    minute       DateTime('UTC') CODEC(Delta, ZSTD(1)),
    signal       LowCardinality(String) CODEC(ZSTD(1)),
    source       LowCardinality(String) CODEC(ZSTD(1)),
    reason       LowCardinality(String) CODEC(ZSTD(1)),
    token        String CODEC(ZSTD(1)),
    version      UInt64 CODEC(Delta, ZSTD(1)),
    received     UInt64 CODEC(T64, ZSTD(1)),
    stored       UInt64 CODEC(T64, ZSTD(1)),
    rejected     UInt64 CODEC(T64, ZSTD(1)),
    sampled_out  UInt64 CODEC(T64, ZSTD(1)),
    late         UInt64 CODEC(T64, ZSTD(1)),
    duplicated   UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(minute)
ORDER BY (tenant, minute, signal, source, reason, token)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Audit events the SDK wrote for a run, said on the run's span; compared with the events stored.
ALTER TABLE spans ADD COLUMN IF NOT EXISTS audit_expected Nullable(UInt32) CODEC(ZSTD(1)) AFTER spans_expected;

ALTER TABLE runs ADD COLUMN IF NOT EXISTS audit_expected Nullable(UInt32) CODEC(ZSTD(1)) AFTER spans_expected
