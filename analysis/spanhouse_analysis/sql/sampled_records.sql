-- The records of some traces that are to be deleted, one row each, start records that their spans replaced left out, as
-- are rows that were made from other records and records that the ledger has moved before.
SELECT tenant, trace_id, hash, minute, source, late
FROM
(
    SELECT tenant, trace_id, received_at, $identity AS hash,
        toUInt64(intDiv(toUnixTimestamp64Micro(received_at), 60000000)) AS minute,
        substringUTF8(service_name, 1, 200) AS source,
        toUnixTimestamp64Micro(received_at) - intDiv(toUnixTimestamp64Nano($end), 1000) > 3600000000 AS late
    FROM $table FINAL
    WHERE (tenant, trace_id) IN {traces:Array(Tuple(String, String))}
        AND received_at <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')
        AND (bucket >= fromUnixTimestamp({since:Int64}) OR bucket = fromUnixTimestamp(0))
        AND $counted
)
