-- The next rows of a table in the order of its key, so that a cursor is the key of the last row. Reading stops in this
-- order where the answer would get too large; `max_result_bytes` says when.
SELECT $columns, $key_columns
FROM $table $final
WHERE $where AND $after
ORDER BY $order
$latest
LIMIT {limit:UInt32}
