"""ClickHouse's HTTP protocol over a real store, served in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.process import free_port
from tests.support.rows import NOON, rows, run, span

from spanhouse_server.keys.guard import Guard
from spanhouse_server.sql.caps import Caps
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.sql.front import SqlFront
from spanhouse_storage.contract import Store
from spanhouse_storage.migrations import migrate
from spanhouse_storage.opening import open_store
from spanhouse_storage.state import open_state

TOKEN = "operator-token-of-the-test"
CAPS = Caps(seconds=5, memory=256 << 20, rows=1_000, bytes=4 << 20, at_once=2)
RUNS = 40


@dataclass
class SqlEndpoint:
    """A running endpoint, its store and its guard."""

    port: int
    store: Store
    guard: Guard

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def sql_endpoint(directory: Path, caps: Caps = CAPS) -> Iterator[SqlEndpoint]:
    """Serve until the block ends; must be entered on the main thread, where the embedded store is opened."""
    store = open_store(directory / "store")
    state = open_state(str(directory / "state.db"))
    try:
        migrate(store)
        fill(store)
        guard = Guard(state, TOKEN, clock=lambda: datetime.now(UTC))
        port = free_port()
        front = SqlFront(f"127.0.0.1:{port}", store, SqlDoor(caps), guard)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(front.start(), loop).result(10)
            yield SqlEndpoint(port, store, guard)
            asyncio.run_coroutine_threadsafe(front.stop(), loop).result(10)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
    finally:
        state.dispose()
        store.close()


def fill(store: Store) -> None:
    """Store runs of two tenants and a few spans."""
    made = [
        run(
            f"run-{number:02}",
            tenant="acme" if number % 4 else "beta",
            trace_id=f"trace-{number:02}",
            agent=("support", "sales")[number % 2],
            started_at=NOON + timedelta(minutes=number),
            ended_at=NOON + timedelta(minutes=number + 1),
            run_seconds=60.0 + number,
            cost_usd=None if number % 5 == 0 else number / 100,
            models=["gpt-4o-mini"],
            input_preview="größer \U0001f600 'quoted'\\",
        )
        for number in range(RUNS)
    ]
    store.insert("runs", rows("runs", *made), "runs")
    spans = [
        span(f"trace-{number:02}", f"span-{number:02}", attributes=[("k", f"v{number}"), ("other", "x")])
        for number in range(10)
    ]
    store.insert("spans", rows("spans", *spans), "spans")
