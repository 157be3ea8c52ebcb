"""What the collector counts about itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

LEDGER_COUNTS: Final = ("received", "stored", "rejected", "sampled_out", "late", "duplicated")
"""What the ledger counts; every record received is one of stored, rejected, sampled out and duplicated."""

_ROWS: Final = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 40_000)
_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

_MAX_TENANTS: Final = 500
_OTHER_TENANT: Final = "(others)"
"""Where anybody may send, senders make up tenants, and every one of them would be a series for ever."""


# A series beside every counter for when it was made would double what is scraped, and no query asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The collector's counters, on a registry of their own unless one is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.requests = self._counter(
            "requests", "Export requests answered, by signal and HTTP status.", "signal", "status"
        )
        self.request_bytes = self._counter("request_bytes", "Bytes of export requests as decompressed.", "signal")
        self.accepted = self._counter("accepted", "Spans and log records acknowledged.", "signal")
        self.rejected = self._counter("rejected", "Spans and log records refused one by one.", "signal", "reason")
        self.stored = self._counter("stored", "Rows inserted.", "table")
        self.dead_letters = self._counter("dead_letters", "Spans and log records set aside undecoded.", "signal")
        self.decode_errors = self._counter("decode_errors", "Batches the decoder failed on.")
        self.insert_retries = self._counter("insert_retries", "Inserts repeated because the store did not answer.")
        self.damaged_records = self._counter("journal_damaged_records", "Journal records lost to damage on disk.")
        self.callback_errors = self._counter("callback_errors", "Failures of what is called after a batch is stored.")
        self.ledger = self._counter(
            "ledger", "Records counted in the ledger: each is received, and is one other thing.", "signal", "outcome"
        )
        self._tenants: set[str] = set()
        self.redacted = self._counter("redacted", "Secrets cut out before they were stored.", "tenant", "kind")
        self.batch_rows = Histogram(
            "spanhouse_collector_batch_rows", "Rows a batch.", buckets=_ROWS, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "spanhouse_collector_batch_seconds",
            "Seconds from a batch's first acknowledgement to its being stored.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def count_ledger(self, lines: pl.DataFrame) -> None:
        """Count lines of the ledger that were written."""
        for signal, *counts in lines.group_by("signal").agg(pl.col(LEDGER_COUNTS).sum()).iter_rows():
            for name, count in zip(LEDGER_COUNTS, counts, strict=True):
                self.ledger.labels(signal, name).inc(count)

    def count_redacted(self, found: Mapping[tuple[str, str], int]) -> None:
        """Count secrets cut out: (tenant, kind) -> how many; beyond so many tenants under a common name."""
        for (tenant, kind), count in found.items():
            if tenant not in self._tenants and len(self._tenants) >= _MAX_TENANTS:
                self.redacted.labels(_OTHER_TENANT, kind).inc(count)
            else:
                self._tenants.add(tenant)
                self.redacted.labels(tenant, kind).inc(count)

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(f"spanhouse_collector_{name}", meaning, registry=self.registry).set_function(read)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"spanhouse_collector_{name}", meaning, labels, registry=self.registry)
