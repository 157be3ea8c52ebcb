"""What happens to runs, as it happens: one look at the store a second, told to everybody who listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from spanhouse_storage.contract import StorageError, Store
from spanhouse_storage.reads.changes import Change, changed_runs, running_runs
from spanhouse_storage.reads.times import micros

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
QUEUE: Final = 1_000
"""Changes a listener may be behind; what comes beyond is counted and left out."""
_OVERLAP: Final = timedelta(seconds=15)
"""Facts are stored up to so long after the moment they name."""


@dataclass(eq=False)
class Listener:
    """One who listens: changes not yet taken, and how many were left out since the last that was taken."""

    waiting: asyncio.Queue[Change | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    skipped: int = 0

    def offer(self, change: Change) -> None:
        """Queue a change, or count it where the queue is full."""
        try:
            self.waiting.put_nowait(change)
        except asyncio.QueueFull:
            self.skipped += 1

    def end(self) -> None:
        """Make the next wait return None, whatever is queued before it."""
        while self.waiting.full():
            self.waiting.get_nowait()
            self.skipped += 1
        self.waiting.put_nowait(None)


class Tail:
    """Tells listeners of runs that start, change and end.

    All of it runs on the server's event loop; reads of the store in threads. It looks only while somebody listens.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._seen: dict[tuple[str, str], int] = {}
        self._running: set[tuple[str, str]] = set()
        self._closed = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Yield a listener that is told of every change from now on; it ends when the server stops."""
        listener = Listener()
        self._listeners.add(listener)
        if self._closed:
            listener.end()
        elif self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                await self._stop_looking()

    async def close(self) -> None:
        """End every listener."""
        self._closed = True
        for listener in self._listeners:
            listener.end()
        await self._stop_looking()

    async def _stop_looking(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        since = self._clock()
        self._running = await _until_answered(lambda: running_runs(self._store))
        before = await _until_answered(lambda: changed_runs(self._store, micros(since - _OVERLAP)))
        self._seen = {(change.tenant, change.run_id): change.version for change in before}
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock()
            after = micros(since - _OVERLAP)
            for change in await _until_answered(lambda after=after: changed_runs(self._store, after)):  # type: ignore[misc]
                self._tell(change)
            since = now
            oldest = micros(now - 2 * _OVERLAP)
            self._seen = {key: version for key, version in self._seen.items() if version >= oldest}

    def _tell(self, change: Change) -> None:
        key = (change.tenant, change.run_id)
        if self._seen.get(key, 0) >= change.version:
            return
        self._seen[key] = change.version
        kind = "end" if change.ended else "change" if key in self._running else "start"
        (self._running.discard if change.ended else self._running.add)(key)
        for listener in self._listeners:
            listener.offer(change.called(kind))


async def _until_answered(read: Callable[[], T]) -> T:
    """Return what is read, in a thread, however long the store is away."""
    while True:
        try:
            return await asyncio.to_thread(read)
        except StorageError as error:
            log.warning("live runs: %s", error)
            await asyncio.sleep(LOOK_SECONDS)
