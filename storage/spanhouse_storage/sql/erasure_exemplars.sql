SELECT DISTINCT name, series, toUnixTimestamp64Nano(time) AS at FROM metric_points
WHERE tenant = {tenant:String} AND exemplars != '' AND position(exemplars, {quoted:String}) > 0
