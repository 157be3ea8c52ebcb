"""Records refused at the door, counted for the ledger and written to the store once a second.

The sender has been told of each, so nothing acknowledged hangs on these counts: a kill loses those of the last second,
a store that is away delays them.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from typing import Any, Final

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.ledger import MAX_SOURCE, Rejected, of_rejected, row
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.records import Signal
from spanhouse_collector.retry import StoppedError, until_it_works
from spanhouse_collector.verdict import Verdict
from spanhouse_collector.writer import Sink

FLUSH_SECONDS: Final = 1.0
MAX_KEYS: Final = 10_000
"""Combinations of tenant, minute, source and reason held at once; beyond it sources are counted together as ""."""

_MINUTE_US: Final = 60_000_000

_log = logging.getLogger(__name__)


def by_source(signal: Signal, request: Any, verdict: Verdict) -> Counter[tuple[str, str]]:  # noqa: ANN401 - a wire message
    """Return how many records each service had refused for each reason; the request still holds them."""
    if not verdict.rejections:
        return Counter()
    resources = request.resource_spans if signal == "traces" else getattr(request, f"resource_{signal}")
    services = {number: _service(resources[number]) for number in {each.resource for each in verdict.rejections}}
    return Counter((services[each.resource], each.reason.value) for each in verdict.rejections)


def _service(resource_records: Any) -> str:  # noqa: ANN401 - a wire message
    for raw in resource_records.resource.attributes:
        try:
            key, value = wire.key_value(raw)
        except wire.DecodeError:
            continue
        if key == own.SERVICE_NAME and isinstance(value, str):
            return value[:MAX_SOURCE]
    return ""


class Refusals:
    """Counts what is refused, and writes the counts in a thread of its own. `count` may be called from any thread."""

    def __init__(self, store: Sink, metrics: Metrics, *, seconds: float = FLUSH_SECONDS) -> None:
        self._store, self._metrics, self._seconds = store, metrics, seconds
        self._counts: Counter[tuple[str, int, str, str, str]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._name, self._number = secrets.token_hex(8), 0
        self._thread = threading.Thread(target=self._run, name="spanhouse-refusals")

    def count(self, tenant: str, signal: str, refused: Counter[tuple[str, str]], received_us: int) -> None:
        """Take what a request had refused: (source, reason) -> records."""
        minute = received_us // _MINUTE_US * _MINUTE_US
        with self._lock:
            for (source, reason), records in refused.items():
                key = tenant, minute, signal, source, reason
                if len(self._counts) >= MAX_KEYS and key not in self._counts:
                    key = tenant, minute, signal, "", reason
                self._counts[key] += records

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is there, once, and end; what the store does not take is said in the log."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        self._number += 1
        token = f"{self._name}:{self._number}"
        rejected = [
            Rejected(tenant, signal, source, reason, minute, records)
            for (tenant, minute, signal, source, reason), records in counts.items()
        ]
        lines = of_rejected(rejected)
        rows = row(lines, token, time.time_ns() // 1000)
        try:
            until_it_works(
                f"write down {counts.total()} refused records",
                lambda: self._store.insert("ledger", rows, token),
                self._stopping,
            )
        except StoppedError as stopped:
            _log.warning("%s: the ledger lacks %d records that senders were told are refused", stopped, counts.total())
        else:
            self._metrics.count_ledger(lines)
