SELECT DISTINCT name, series, toUnixTimestamp64Nano(time) AS at FROM metric_points
WHERE tenant = {tenant:String}
  AND has([attributes['user.id'], attributes['enduser.id'], attributes['gen_ai.user'], resource['user.id'], resource['enduser.id']],
          {value:String})
