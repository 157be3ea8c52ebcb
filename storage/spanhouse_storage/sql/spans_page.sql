-- One page of a trace in start order. The inner statement picks the page from narrow columns, so payload is read for
-- the page's spans alone.
SELECT $columns
FROM spans
WHERE tenant = {tenant:String} AND trace_id = {trace_id:String}
  AND (span_id, version) IN
  (
      SELECT span_id, version
      FROM
      (
          SELECT span_id, version, start
          FROM spans
          WHERE tenant = {tenant:String} AND trace_id = {trace_id:String} AND $chosen
          ORDER BY version DESC
          LIMIT 1 BY span_id
      )
      WHERE $after
      ORDER BY start, span_id
      LIMIT {limit:UInt32}
  )
ORDER BY start, span_id
LIMIT 1 BY span_id
