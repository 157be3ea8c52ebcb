INSERT INTO metric_parts_until (layout, level, until, version)
SELECT {layout:String}, {level:UInt32}, fromUnixTimestamp({until:Int64}), {version:UInt64}
