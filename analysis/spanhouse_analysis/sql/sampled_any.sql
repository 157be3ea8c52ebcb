-- The highest version of any decision; 0 where nothing was ever sampled out.
SELECT max(version) AS version FROM sampled_traces
