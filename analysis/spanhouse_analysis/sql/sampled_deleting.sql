-- Deletions that the engine has not done yet, and why the last of them failed, if it did.
SELECT count() AS open, max(latest_fail_reason) AS reason
FROM system.mutations
WHERE database = currentDatabase() AND table IN ('spans', 'logs', 'messages') AND NOT is_done
