-- What was deleted: one row for each table that a deletion took something from. It holds no id of a person: a request
-- stands here as a hash. `first` and `last` are the times of the oldest and the newest row that went.
CREATE TABLE IF NOT EXISTS deletions
(
    tenant       LowCardinality(String) CODEC(ZSTD(1)),
    deletion_id  String CODEC(ZSTD(1)),
    table_name   LowCardinality(String) CODEC(ZSTD(1)),
    what         LowCardinality(String) CODEC(ZSTD(1)),
    time         DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version      UInt64 CODEC(Delta, ZSTD(1)),
    kind         LowCardinality(String) CODEC(ZSTD(1)),
    rows         UInt64 CODEC(ZSTD(1)),
    first        Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    last         Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    by           String CODEC(ZSTD(1)),
    policy       String CODEC(ZSTD(1)),
    subject      String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY tuple()
ORDER BY (tenant, deletion_id, table_name, what)
SETTINGS index_granularity = 2048, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- The embedded engine would drop merged parts at once, although merges are not synced, and look for them only every
-- five minutes; so a power cut could take what an insert had synced, and deleted bytes stayed on disk for minutes.
ALTER TABLE spans MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE logs MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE messages MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE runs MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE steps MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE scores MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE metric_points MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE sampled_traces MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0;
ALTER TABLE audit_events MODIFY SETTING old_parts_lifetime = 60, cleanup_delay_period = 2, max_cleanup_delay_period = 10, cleanup_delay_period_random_add = 0
