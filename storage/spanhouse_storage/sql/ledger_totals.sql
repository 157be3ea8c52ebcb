-- What became of the records of a window: one row a reason, "" for those that were not refused.
SELECT line.reason AS reason, sum(line.received) AS received, sum(line.stored) AS stored,
    sum(line.rejected) AS rejected, sum(line.sampled_out) AS sampled_out, sum(line.late) AS late,
    sum(line.duplicated) AS duplicated
FROM ($lines) AS line
GROUP BY line.reason
ORDER BY reason
