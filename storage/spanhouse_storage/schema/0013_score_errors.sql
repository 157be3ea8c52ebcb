-- Why an evaluator came to no verdict: empty on scores.
ALTER TABLE scores ADD COLUMN IF NOT EXISTS error_type LowCardinality(String) CODEC(ZSTD(1)) AFTER explanation
