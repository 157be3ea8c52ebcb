-- Audit events: what the control layer decided, one row an event, in the order the run made them.
CREATE TABLE IF NOT EXISTS audit_events
(
    tenant         LowCardinality(String) CODEC(ZSTD(1)),
    stream         String CODEC(ZSTD(1)),
    seq            UInt64 CODEC(Delta, ZSTD(1)),
    name           LowCardinality(String) CODEC(ZSTD(1)),
    time           DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at    DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version        UInt64 CODEC(Delta, ZSTD(1)),
    environment    LowCardinality(String) CODEC(ZSTD(1)),
    request_id     String CODEC(ZSTD(1)),
    run_id         String CODEC(ZSTD(1)),
    trace_id       String CODEC(ZSTD(1)),
    span_id        String CODEC(ZSTD(1)),
    agent          LowCardinality(String) CODEC(ZSTD(1)),
    agent_version  LowCardinality(String) CODEC(ZSTD(1)),
    step           Nullable(UInt32) CODEC(ZSTD(1)),
    tool           LowCardinality(String) CODEC(ZSTD(1)),
    args_hash      String CODEC(ZSTD(1)),
    decision       LowCardinality(String) CODEC(ZSTD(1)),
    status         LowCardinality(String) CODEC(ZSTD(1)),
    duration_ms    Nullable(Float64) CODEC(ZSTD(1)),
    event_version  UInt16 CODEC(ZSTD(1)),
    data           String CODEC(ZSTD(3)),

    INDEX by_run run_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_request request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY tuple()
ORDER BY (tenant, stream, seq)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Every other log record, kept whole. `record_id` is a hash of the content, so a record sent again replaces itself.
CREATE TABLE IF NOT EXISTS logs
(
    tenant           LowCardinality(String) CODEC(ZSTD(1)),
    bucket           DateTime('UTC') CODEC(Delta, ZSTD(1)),
    time             DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version          UInt64 CODEC(Delta, ZSTD(1)),
    record_id        String CODEC(ZSTD(1)),
    trace_id         String CODEC(ZSTD(1)),
    span_id          String CODEC(ZSTD(1)),
    event_name       LowCardinality(String) CODEC(ZSTD(1)),
    severity_number  UInt8 CODEC(ZSTD(1)),
    severity_text    LowCardinality(String) CODEC(ZSTD(1)),
    body             String CODEC(ZSTD(3)),
    service_name     LowCardinality(String) CODEC(ZSTD(1)),
    environment      LowCardinality(String) CODEC(ZSTD(1)),
    scope_name       LowCardinality(String) CODEC(ZSTD(1)),
    request_id       String CODEC(ZSTD(1)),
    session_id       String CODEC(ZSTD(1)),
    user_id          String CODEC(ZSTD(1)),
    attributes       Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource         Map(LowCardinality(String), String) CODEC(ZSTD(1)),

    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (tenant, toStartOfHour(bucket), time, record_id)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
