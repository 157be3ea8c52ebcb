-- Data points of OTLP metrics as they were sent: a cumulative point stays cumulative, and nothing is summed here.
-- `series` is a hash of everything that tells one stream of points from another; a point sent again replaces itself.
CREATE TABLE IF NOT EXISTS metric_points
(
    tenant            LowCardinality(String) CODEC(ZSTD(1)),
    bucket            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    time              DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    start_time        Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    received_at       DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version           UInt64 CODEC(Delta, ZSTD(1)),
    name              LowCardinality(String) CODEC(ZSTD(1)),
    series            UInt64 CODEC(ZSTD(1)),
    unit              LowCardinality(String) CODEC(ZSTD(1)),
    description       LowCardinality(String) CODEC(ZSTD(1)),
    type              LowCardinality(String) CODEC(ZSTD(1)),
    temporality       LowCardinality(String) CODEC(ZSTD(1)),
    is_monotonic      Bool CODEC(ZSTD(1)),
    flags             UInt32 CODEC(ZSTD(1)),
    value             Nullable(Float64) CODEC(ZSTD(1)),
    int_value         Nullable(Int64) CODEC(ZSTD(1)),
    count             Nullable(UInt64) CODEC(ZSTD(1)),
    sum               Nullable(Float64) CODEC(ZSTD(1)),
    min               Nullable(Float64) CODEC(ZSTD(1)),
    max               Nullable(Float64) CODEC(ZSTD(1)),
    bounds            Array(Float64) CODEC(ZSTD(1)),
    bucket_counts     Array(UInt64) CODEC(ZSTD(1)),
    scale             Nullable(Int32) CODEC(ZSTD(1)),
    zero_count        Nullable(UInt64) CODEC(ZSTD(1)),
    zero_threshold    Nullable(Float64) CODEC(ZSTD(1)),
    positive_offset   Nullable(Int32) CODEC(ZSTD(1)),
    positive_counts   Array(UInt64) CODEC(ZSTD(1)),
    negative_offset   Nullable(Int32) CODEC(ZSTD(1)),
    negative_counts   Array(UInt64) CODEC(ZSTD(1)),
    quantiles         Array(Float64) CODEC(ZSTD(1)),
    quantile_values   Array(Float64) CODEC(ZSTD(1)),
    exemplars         String CODEC(ZSTD(1)),
    service_name      LowCardinality(String) CODEC(ZSTD(1)),
    environment       LowCardinality(String) CODEC(ZSTD(1)),
    scope_name        LowCardinality(String) CODEC(ZSTD(1)),
    scope_version     LowCardinality(String) CODEC(ZSTD(1)),
    attributes        Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource          Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_attributes  Map(LowCardinality(String), String) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (tenant, name, toStartOfHour(bucket), series, time)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- What a log record says beyond its text, as for spans.
ALTER TABLE logs
    ADD COLUMN IF NOT EXISTS flags UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS dropped_attributes UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS scope_version LowCardinality(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1))
