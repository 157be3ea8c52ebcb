"""Records that may not be stored, taken out of a decoded batch: past their time, or of whoever was erased."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from spanhouse_collector.decoder import Decoded
from spanhouse_collector.ledger import ERASED, EXPIRED, Rejected
from spanhouse_storage.screen import Screen

_SIGNALS: Final = {"spans": "traces", "audit_events": "logs", "logs": "logs", "metric_points": "metrics"}


def screened(decoded: Decoded, screen: Screen) -> tuple[Decoded, tuple[Rejected, ...]]:
    """Return what of a batch may be stored, and the records that may not, for the ledger."""
    tables, counts, refused = dict(decoded.tables), decoded.counts, list[Rejected]()
    for table, rows in decoded.tables.items():
        found = screen(table, rows)
        if found.rows is rows:
            continue
        tables[table] = found.rows
        if table in _SIGNALS:
            # Rows that follow from other records stand behind those that records gave, and are none.
            front = getattr(counts, table)
            for reason, gone in ((EXPIRED, found.expired[:front]), (ERASED, found.erased[:front])):
                counts = replace(counts, **{table: getattr(counts, table) - int(gone.sum())})
                refused += _rejected(rows.slice(0, front), gone, _SIGNALS[table], reason)
    return replace(decoded, tables=tables, counts=counts), tuple(refused)


def _rejected(rows: pa.Table, gone: np.ndarray, signal: str, reason: str) -> list[Rejected]:
    if not gone.any():
        return []
    left = rows.select(["tenant", "received_at"]).filter(pa.array(gone))
    received = left.column("received_at").cast(pa.int64()).to_pylist()
    minutes = Counter(zip(left.column("tenant").to_pylist(), (us // 60_000_000 for us in received), strict=True))
    return [
        Rejected(tenant, signal, "", reason, minute * 60_000_000, count) for (tenant, minute), count in minutes.items()
    ]
