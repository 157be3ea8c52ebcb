-- What evaluators said of a run or a call, one row a score. `score_id` is a hash of what was sent, so a score sent again
-- replaces itself.
CREATE TABLE IF NOT EXISTS scores
(
    tenant       LowCardinality(String) CODEC(ZSTD(1)),
    score_id     String CODEC(ZSTD(1)),
    bucket       DateTime('UTC') CODEC(Delta, ZSTD(1)),
    time         DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at  DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version      UInt64 CODEC(Delta, ZSTD(1)),
    name         LowCardinality(String) CODEC(ZSTD(1)),
    value        Nullable(Float64) CODEC(ZSTD(1)),
    label        LowCardinality(String) CODEC(ZSTD(1)),
    explanation  String CODEC(ZSTD(3)),
    trace_id     String CODEC(ZSTD(1)),
    span_id      String CODEC(ZSTD(1)),
    run_id       String CODEC(ZSTD(1)),
    response_id  String CODEC(ZSTD(1)),
    source       LowCardinality(String) CODEC(ZSTD(1)),

    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_run run_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_response response_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (tenant, toStartOfHour(bucket), name, score_id)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Messages of spans that came in log records instead of on the span; several records may speak of one span.
CREATE TABLE IF NOT EXISTS messages
(
    tenant              LowCardinality(String) CODEC(ZSTD(1)),
    trace_id            String CODEC(ZSTD(1)),
    span_id             String CODEC(ZSTD(1)),
    record_id           String CODEC(ZSTD(1)),
    bucket              DateTime('UTC') CODEC(Delta, ZSTD(1)),
    time                DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at         DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version             UInt64 CODEC(Delta, ZSTD(1)),
    input               String CODEC(ZSTD(3)),
    output              String CODEC(ZSTD(3)),
    system_instructions String CODEC(ZSTD(3)),
    tool_definitions    String CODEC(ZSTD(3)),

    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (tenant, toStartOfHour(bucket), trace_id, span_id, record_id)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
