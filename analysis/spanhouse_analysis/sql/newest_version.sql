SELECT max(version) AS version FROM runs
