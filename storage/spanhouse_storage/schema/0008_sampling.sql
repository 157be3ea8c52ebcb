-- How many ended runs a run stands for: 1, or 1 / rate where its tenant samples. Rows of `steps` have the weight of their
-- run, or 0 where the run was sampled out and its spending alone is kept.
ALTER TABLE runs ADD COLUMN IF NOT EXISTS weight Float64 DEFAULT 1 CODEC(ZSTD(1));

ALTER TABLE steps ADD COLUMN IF NOT EXISTS weight Float64 DEFAULT 1 CODEC(ZSTD(1));

-- A row that moves records from stored to sampled out has less than nothing in `stored` and `late`.
ALTER TABLE ledger MODIFY COLUMN stored Array(Int64) CODEC(ZSTD(1)), MODIFY COLUMN late Array(Int64) CODEC(ZSTD(1));

-- Traces that were sampled out. `state` is `out` until their spans are deleted, then `gone`, or `kept` where something that
-- came later made a keep rule true. `runs` are those that were withdrawn, `spans` counts the spans deleted, and `records`
-- holds a hash of each record that the ledger has moved, so that one sent again is not moved again.
CREATE TABLE IF NOT EXISTS sampled_traces
(
    tenant      LowCardinality(String) CODEC(ZSTD(1)),
    trace_id    String CODEC(ZSTD(1)),
    version     UInt64 CODEC(Delta, ZSTD(1)),
    decided_at  DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    first_start DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    state       LowCardinality(String) CODEC(ZSTD(1)),
    runs        Array(String) CODEC(ZSTD(1)),
    spans       UInt64 CODEC(ZSTD(1)),
    records     Array(UInt64) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant, trace_id)
TTL toDateTime(decided_at) + INTERVAL 90 DAY
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
