SELECT DISTINCT stream, seq FROM audit_events
WHERE tenant = {tenant:String} AND stream = 'control'
  AND JSONExtractString(data, 'scope') = {scope:String} AND JSONExtractString(data, 'target') = {value:String}
