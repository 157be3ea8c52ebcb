-- Lines of the ledger in a window of receive minutes: each batch's newest row alone, opened.
SELECT minutes AS minute, tenants AS tenant, signals AS signal, sources AS source, reasons AS reason,
    received, stored, rejected, sampled_out, late, duplicated
FROM (SELECT * FROM ledger FINAL WHERE $rows)
ARRAY JOIN minutes, tenants, signals, sources, reasons, received, stored, rejected, sampled_out, late, duplicated
WHERE $lines
