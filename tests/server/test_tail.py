"""Live runs: told as they start, change and end, from where one left off, and no faster than they are read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.process import ServerProcess
from tests.support.rows import rows, run
from tests.support.served import Served, serving

from spanhouse.client import Client
from spanhouse.following import events
from spanhouse_server.tail import QUEUE, Listener
from spanhouse_storage.reads.changes import Change

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("tail") / "data") as running:
        yield running


def put(server: Served, run_id: str, **columns: Any) -> int:
    """Store a newer row of a run, as the facts job does, and return its version."""
    version = int(datetime.now(UTC).timestamp() * 1e6)
    row = run(run_id, version=version, **{"trace_id": f"t-{run_id}", "started_at": NOW, "status": "running", **columns})
    server.parts.store.insert("runs", rows("runs", row), f"{run_id}-{version}")
    return version


class Watching:
    """A caller of the stream in a thread, told apart by its filter."""

    def __init__(self, server: Served, wanted: int, after: str = "", **query: str) -> None:
        self.found: list[tuple[str, dict[str, Any]]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(server, wanted, after, query))
        self._thread.start()
        assert self._ready.wait(30)

    def _read(self, server: Served, wanted: int, after: str, query: dict[str, str]) -> None:
        headers = {"last-event-id": after} if after else {}
        with (
            httpx.Client(base_url=server.url, timeout=60) as http,
            http.stream("GET", "/api/v1/tail", params=query, headers=headers) as answer,
        ):
            for event in events(self._lines(answer)):
                self.found.append(event)
                if len(self.found) == wanted:
                    return

    def _lines(self, answer: httpx.Response) -> Iterator[bytes]:
        for line in answer.iter_lines():
            self._ready.set()
            yield line.encode()

    def told(self) -> list[tuple[str, str]]:
        """Wait for all that is wanted; return kind and run of each event."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return [(data["event"], data["run"]["run_id"]) for _, data in self.found]


def test_a_run_is_told_when_it_starts_changes_and_ends_and_to_whom_it_concerns(server: Served) -> None:
    put(server, "before", agent="mine")
    mine, other = Watching(server, 4, filter="agent = mine"), Watching(server, 1, filter="agent = other")
    wait(server, 1)
    put(server, "new", agent="mine")
    settle(mine, 1)
    put(server, "new", agent="mine", steps=2)
    settle(mine, 2)
    put(server, "before", agent="mine", status="ended", ended_at=NOW + timedelta(seconds=1))
    settle(mine, 3)
    put(server, "x", agent="other")
    put(server, "new", agent="mine", status="ended", ended_at=NOW + timedelta(seconds=1))
    assert mine.told() == [("start", "new"), ("change", "new"), ("end", "before"), ("end", "new")]
    assert mine.found[1][1]["run"]["steps"] == 2
    assert other.told() == [("start", "x")]


def wait(server: Served, listeners: int) -> None:
    """Wait until the server has looked at what there was."""
    while len(server.parts.tail._listeners) < listeners or not server.parts.tail._seen:
        threading.Event().wait(0.05)


def settle(watching: Watching, count: int) -> None:
    while len(watching.found) < count:
        threading.Event().wait(0.05)


def test_what_was_missed_comes_first_each_run_once(server: Served) -> None:
    last = put(server, "seen", agent="back")
    put(server, "missed", agent="back")
    put(server, "missed", agent="back", status="ended", ended_at=NOW)
    watching = Watching(server, 1, str(last), filter="agent = back")
    assert watching.told() == [("end", "missed")]
    assert int(watching.found[0][0]) > last
    answer = server.http.get("/api/v1/tail", headers={"last-event-id": "soon"})
    assert (answer.status_code, "none of this stream" in answer.json()["detail"]) == (400, True)


def test_a_stream_ends_after_the_seconds_asked_for(server: Served) -> None:
    assert list(server.client.tail(seconds=0.1, filter="agent = nobody")) == []


def test_who_reads_too_slowly_loses_changes_and_is_told_how_many() -> None:
    async def offered() -> tuple[int, int, Change | None]:
        listener = Listener()
        for number in range(QUEUE + 3):
            listener.offer(Change("acme", f"r{number}", number, ended=False, started_at=NOW))
        before = listener.skipped
        listener.end()
        last = None
        while not listener.waiting.empty():
            last = listener.waiting.get_nowait()
        return before, listener.skipped, last

    assert asyncio.run(offered()) == (3, 4, None)


@pytest.mark.e2e
def test_a_stopping_server_ends_the_stream(tmp_path: Path) -> None:
    """At once and whole: the iterator ends, and nothing is cut off."""
    with ServerProcess(tmp_path / "data", grpc="") as process:
        stream = Client(process.url).tail()
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.extend(stream))
        reader.start()
        threading.Event().wait(1)
        assert process.stop() == 0
        reader.join(30)
        assert not reader.is_alive()
        assert found == []
        assert "Cancel" not in process.log.read_text()
        assert "Traceback" not in process.log.read_text()
