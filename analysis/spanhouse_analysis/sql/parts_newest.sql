-- The highest version of any bucket: a clock that was set back must not make new marks older than it.
SELECT max(version) AS version FROM metric_parts
