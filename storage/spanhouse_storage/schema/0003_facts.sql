-- Facts the analysis writes: recomputable from spans at any time, replaced by version.
CREATE TABLE IF NOT EXISTS runs
(
    tenant              LowCardinality(String) CODEC(ZSTD(1)),
    run_id              String CODEC(ZSTD(1)),
    trace_id            String CODEC(ZSTD(1)),
    root_span_id        String CODEC(ZSTD(1)),
    version             UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted          UInt8 CODEC(ZSTD(1)),
    superseded_by       String CODEC(ZSTD(1)),
    computed_at         DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at         DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),

    request_id          String CODEC(ZSTD(1)),
    session_id          String CODEC(ZSTD(1)),
    user_id             String CODEC(ZSTD(1)),
    environment         LowCardinality(String) CODEC(ZSTD(1)),
    service_name        LowCardinality(String) CODEC(ZSTD(1)),
    name                String CODEC(ZSTD(1)),
    agent               LowCardinality(String) CODEC(ZSTD(1)),
    agent_version       LowCardinality(String) CODEC(ZSTD(1)),
    model               LowCardinality(String) CODEC(ZSTD(1)),
    models              Array(LowCardinality(String)) CODEC(ZSTD(1)),
    type                LowCardinality(String) CODEC(ZSTD(1)),
    task                String CODEC(ZSTD(1)),
    task_type           LowCardinality(String) CODEC(ZSTD(1)),
    variant             LowCardinality(String) CODEC(ZSTD(1)),
    convention          LowCardinality(String) CODEC(ZSTD(1)),

    status              LowCardinality(String) CODEC(ZSTD(1)),
    state               LowCardinality(String) CODEC(ZSTD(1)),
    stop_reason         LowCardinality(String) CODEC(ZSTD(1)),
    stop_code           LowCardinality(String) CODEC(ZSTD(1)),
    stop_subject        LowCardinality(String) CODEC(ZSTD(1)),
    stop_reason_source  LowCardinality(String) CODEC(ZSTD(1)),
    outcome             LowCardinality(String) CODEC(ZSTD(1)),
    completed           Bool CODEC(ZSTD(1)),
    escalated           Bool CODEC(ZSTD(1)),
    error_type          LowCardinality(String) CODEC(ZSTD(1)),
    error_message       String CODEC(ZSTD(1)),

    started_at          DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    ended_at            Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    run_seconds         Nullable(Float64) CODEC(ZSTD(1)),
    model_seconds       Float64 CODEC(ZSTD(1)),
    tool_seconds        Float64 CODEC(ZSTD(1)),
    resumes             UInt32 CODEC(ZSTD(1)),
    steps               UInt32 CODEC(ZSTD(1)),
    model_calls         Nullable(UInt32) CODEC(ZSTD(1)),
    model_errors        Nullable(UInt32) CODEC(ZSTD(1)),
    tool_calls          Nullable(UInt32) CODEC(ZSTD(1)),
    tool_errors         Nullable(UInt32) CODEC(ZSTD(1)),
    tool_requests       Nullable(UInt32) CODEC(ZSTD(1)),
    policy_denials      Nullable(UInt32) CODEC(ZSTD(1)),
    loops               Nullable(UInt32) CODEC(ZSTD(1)),
    cycle_length        Nullable(UInt32) CODEC(ZSTD(1)),
    retries             Nullable(UInt32) CODEC(ZSTD(1)),
    retry_storm         Nullable(Bool) CODEC(ZSTD(1)),
    input_tokens        Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens       Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens   Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens  Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens    Nullable(UInt64) CODEC(ZSTD(1)),
    cost_usd            Nullable(Float64) CODEC(ZSTD(1)),
    cost_source         LowCardinality(String) CODEC(ZSTD(1)),
    unpriced_models     Array(LowCardinality(String)) CODEC(ZSTD(1)),
    budget              String CODEC(ZSTD(1)),
    spans_stored        UInt32 CODEC(ZSTD(1)),
    spans_expected      Nullable(UInt32) CODEC(ZSTD(1)),
    input_preview       String CODEC(ZSTD(3)),
    output_preview      String CODEC(ZSTD(3)),

    INDEX by_run run_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_request request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_session session_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_end ended_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toMonday(started_at)
ORDER BY (tenant, toStartOfHour(started_at), run_id)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a step: a counted model call, a requested tool call, a plan, a wait. Rows of kind `usage` are no steps: they are
-- figures that stand on another span because the calls behind them were not recorded. Whatever a run cost is in its rows
-- here, each at the time it ended, so that money counts while the run still goes on.
CREATE TABLE IF NOT EXISTS steps
(
    tenant              LowCardinality(String) CODEC(ZSTD(1)),
    run_id              String CODEC(ZSTD(1)),
    seq                 UInt32 CODEC(ZSTD(1)),
    version             UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted          UInt8 CODEC(ZSTD(1)),
    run_started_at      DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    run_ended_at        Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    run_type            LowCardinality(String) CODEC(ZSTD(1)),
    environment         LowCardinality(String) CODEC(ZSTD(1)),
    user_id             String CODEC(ZSTD(1)),
    agent               LowCardinality(String) CODEC(ZSTD(1)),
    agent_version       LowCardinality(String) CODEC(ZSTD(1)),
    run_model           LowCardinality(String) CODEC(ZSTD(1)),
    task_type           LowCardinality(String) CODEC(ZSTD(1)),
    variant             LowCardinality(String) CODEC(ZSTD(1)),
    span_id             String CODEC(ZSTD(1)),
    number              UInt32 CODEC(ZSTD(1)),
    kind                LowCardinality(String) CODEC(ZSTD(1)),
    tool                LowCardinality(String) CODEC(ZSTD(1)),
    model               LowCardinality(String) CODEC(ZSTD(1)),
    started_at          DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    ended_at            DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    ms                  Float64 CODEC(ZSTD(1)),
    status              LowCardinality(String) CODEC(ZSTD(1)),
    error_type          LowCardinality(String) CODEC(ZSTD(1)),
    error_message       String CODEC(ZSTD(1)),
    decision            LowCardinality(String) CODEC(ZSTD(1)),
    args_hash           String CODEC(ZSTD(1)),
    attempt             UInt32 CODEC(ZSTD(1)),
    replayed            Bool CODEC(ZSTD(1)),
    input_tokens        Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens       Nullable(UInt64) CODEC(ZSTD(1)),
    cost_usd            Nullable(Float64) CODEC(ZSTD(1)),
    unpriced            Bool CODEC(ZSTD(1)),

    INDEX by_run run_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_end ended_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toMonday(run_started_at)
ORDER BY (tenant, toStartOfHour(run_started_at), run_id, seq)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
