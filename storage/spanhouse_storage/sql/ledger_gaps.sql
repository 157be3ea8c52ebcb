-- Minutes whose records are not all accounted for, newest first.
SELECT line.minute AS minute, sum(line.received) AS received,
    sum(line.stored + line.rejected + line.sampled_out + line.duplicated) AS accounted
FROM ($lines) AS line
GROUP BY line.minute
HAVING received != accounted
ORDER BY minute DESC
LIMIT {limit:UInt32}
