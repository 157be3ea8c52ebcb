SELECT table, name, type_full AS type FROM system.data_skipping_indices
WHERE database = currentDatabase() AND table IN {tables:Array(String)}
