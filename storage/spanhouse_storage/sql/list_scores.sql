-- Scores in the order they were given, each in its newest version.
SELECT $columns
FROM scores FINAL
WHERE $where AND $after
ORDER BY time, score_id
LIMIT {limit:UInt32}
