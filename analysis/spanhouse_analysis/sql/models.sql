-- What each model was used for in the runs that pass: calls, tokens, cost, and calls that nobody could price.
SELECT
    model,
    countIf(kind = 'model') AS calls,
    countIf(kind = 'model' AND status = 'error') AS errors,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cost_usd) AS cost_usd,
    countIf(unpriced) AS unpriced_calls,
    uniqExact(tenant, run_id) AS runs
FROM steps FINAL
WHERE kind IN ('model', 'usage') AND (tenant, run_id) IN (SELECT tenant, run_id FROM runs FINAL WHERE $where)
GROUP BY model
ORDER BY calls DESC, model
