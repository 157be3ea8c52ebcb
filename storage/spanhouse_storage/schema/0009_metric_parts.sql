-- What metrics are added up from, by hour and by day, of the runs or calls that ended in it. One row holds all groups of a
-- bucket, as arrays of one length, and is replaced whole. `layout` names the parts that stand in `sums`. A `dirty` row says
-- that the bucket changed and has to be computed again.
CREATE TABLE IF NOT EXISTS metric_parts
(
    tenant         LowCardinality(String) CODEC(ZSTD(1)),
    source         LowCardinality(String) CODEC(ZSTD(1)),
    level          UInt32 CODEC(ZSTD(1)),
    bucket         DateTime('UTC') CODEC(Delta, ZSTD(1)),
    version        UInt64 CODEC(Delta, ZSTD(1)),
    dirty          Bool CODEC(ZSTD(1)),
    layout         LowCardinality(String) CODEC(ZSTD(1)),
    groups         Array(Array(String)) CODEC(ZSTD(1)),
    firsts         Array(Int64) CODEC(ZSTD(1)),
    sampled        Array(Bool) CODEC(ZSTD(1)),
    sums           Array(Array(Float64)) CODEC(ZSTD(1)),
    sketch_keys    Array(Array(Int64)) CODEC(ZSTD(1)),
    sketch_weights Array(Array(Float64)) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (level, source, bucket, tenant)
SETTINGS index_granularity = 4, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Up to when buckets of a level are computed: an earlier one without a row had no runs. Of no tenant, so that whoever may
-- read some tenants' parts can know it.
CREATE TABLE IF NOT EXISTS metric_parts_until
(
    layout  String,
    level   UInt32,
    until   DateTime('UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (layout, level)
