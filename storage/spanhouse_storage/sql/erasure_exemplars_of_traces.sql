SELECT DISTINCT name, series, toUnixTimestamp64Nano(time) AS at FROM metric_points
WHERE tenant = {tenant:String} AND exemplars != ''
  AND hasAny(arrayMap(each -> JSONExtractString(each, 'trace_id'), JSONExtractArrayRaw(exemplars)), {traces:Array(String)})
