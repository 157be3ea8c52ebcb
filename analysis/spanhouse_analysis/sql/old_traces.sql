SELECT CRC32(concat(tenant, '/', trace_id)) AS sum FROM runs
