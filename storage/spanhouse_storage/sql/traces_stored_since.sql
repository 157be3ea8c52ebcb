-- Traces with spans received since a time, and how many spans that are: a trace that grows is told of again.
SELECT
    tenant,
    trace_id,
    min(start) AS first_start,
    max(start) AS last_start,
    max(is_final AND (parent_span_id = '' OR stop_reason != '' OR isNotNull(spans_expected))) AS rooted,
    count() AS spans
FROM spans
WHERE received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
GROUP BY tenant, trace_id
