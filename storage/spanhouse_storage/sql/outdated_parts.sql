-- Parts that merges and mutations replaced before a moment stay for a while: see old_parts_lifetime.
SELECT count() AS parts FROM system.parts
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT active
  AND toUnixTimestamp(remove_time) <= {before:Int64}
