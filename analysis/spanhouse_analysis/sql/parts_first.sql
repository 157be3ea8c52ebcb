-- The first bucket that metric parts are kept of; 0 where none is.
SELECT toUnixTimestamp(min(bucket)) AS first FROM metric_parts WHERE source = {source:String}
