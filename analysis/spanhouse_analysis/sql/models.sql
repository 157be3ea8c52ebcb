-- What each model was used for in the runs that pass: calls, tokens, cost, and calls that nobody could price. Runs stand
-- for as many as they weigh.
SELECT
    model,
    toUInt64(round(sumIf(weight, kind = 'model'))) AS calls,
    toUInt64(round(sumIf(weight, kind = 'model' AND status = 'error'))) AS errors,
    accurateCastOrNull(round(sum(input_tokens * weight)), 'UInt64') AS input_tokens,
    accurateCastOrNull(round(sum(output_tokens * weight)), 'UInt64') AS output_tokens,
    sum(cost_usd * weight) AS cost_usd,
    toUInt64(round(sumIf(weight, unpriced))) AS unpriced_calls,
    toUInt64(round(arraySum(arrayMap(pair -> pair.2, groupUniqArray(((tenant, run_id), weight)))))) AS runs,
    max(weight != 1) = 1 AS sampled
FROM steps FINAL
WHERE kind IN ('model', 'usage') AND (tenant, run_id) IN (SELECT tenant, run_id FROM runs FINAL WHERE $where)
GROUP BY model
ORDER BY calls DESC, model
