SELECT DISTINCT name, series, toUnixTimestamp64Nano(time) AS at FROM metric_points
WHERE tenant = {tenant:String}
  AND has([attributes['session.id'], attributes['gen_ai.conversation.id'], resource['session.id']], {value:String})
