-- How many rows a bulk read will give.
SELECT count() AS rows
FROM $table FINAL
WHERE $where
