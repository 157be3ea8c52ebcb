"""Traces that other collectors stored, found in the store itself: nobody tells this process of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import StorageError, Store
from spanhouse_storage.reads.times import micros

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
LOOK_BACK: Final = timedelta(seconds=90)
"""A collector stores what it received some seconds ago, more while its store is slow; older is found by `recover`."""


class Following:
    """Tells a listener of traces with new spans, whoever stored them. `start` and `stop` may follow one another.

    Args:
        store: where spans are.
        touch: told of them: `tenant, trace_id, first_start, last_start, rooted`.
        clock: the time, aware.
        every: seconds between two looks.
    """

    def __init__(
        self,
        store: Store,
        touch: Callable[[pa.Table], None],
        *,
        clock: Callable[[], datetime],
        every: float = EVERY_SECONDS,
    ) -> None:
        self._store, self._touch, self._clock, self._every = store, touch, clock, every
        self._seen: dict[tuple[str, str], int] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look in a thread until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="spanhouse-following")
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> int:
        """Tell of the traces that changed since the last look; return how many."""
        since = self._clock() - LOOK_BACK
        rows = self._store.query(sql.load("spanhouse_storage", "traces_stored_since"), {"since": micros(since)})
        keys = zip(rows.column("tenant").to_pylist(), rows.column("trace_id").to_pylist(), strict=True)
        found = dict(zip(keys, rows.column("spans").to_pylist(), strict=True))
        fresh = [self._seen.get(key) != spans for key, spans in found.items()]
        self._seen = found
        changed = rows.drop_columns(["spans"]).filter(pa.array(fresh, pa.bool_()))
        if changed.num_rows:
            self._touch(changed)
        return int(changed.num_rows)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except StorageError as error:
                log.warning("new traces could not be looked for, trying again: %s", error)
            self._stopping.wait(self._every)
