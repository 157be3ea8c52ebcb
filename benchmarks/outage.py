"""A ClickHouse server that dies under a collector and comes back much later."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.senders import Check, Senders
from benchmarks.server import Memory, MemoryPeak, Server
from tests.support.clickhouse_process import ClickHouseProcess

from spanhouse_storage import open_store


@dataclass(frozen=True)
class OutageReport:
    """What an outage of the store cost.

    Attributes:
        check: what became of the spans.
        waiting: spans acknowledged and not stored when the store came back.
        drain_seconds: from then until all was stored, with the senders still sending.
        before: memory before the outage.
        peak: the most during the outage and the drain.
    """

    check: Check
    waiting: int
    drain_seconds: float
    before: Memory
    peak: Memory


def outage(directory: Path, *, seconds: float, rate: float) -> OutageReport:
    """Take the store away for so many seconds and return what that cost.

    Args:
        directory: for the server's data and the store's.
        seconds: without a store.
        rate: spans a second that four senders send throughout.
    """
    with ClickHouseProcess(directory / "clickhouse") as clickhouse:
        with Server(directory / "data", store=clickhouse.url) as server:
            with Senders(server.port, rate=rate) as senders:
                senders.wait_for(int(rate))
                before = server.memory()
                with MemoryPeak(server) as memory:
                    clickhouse.kill()
                    time.sleep(seconds)
                    waiting = server.lag()["pending_items"]
                    clickhouse.start()
                    drained = _caught_up(server, rate)
            server.drain()
        with closing(open_store(clickhouse.url)) as store:
            return OutageReport(senders.check(store), waiting, drained, before, memory.peak)


def _caught_up(server: Server, rate: float) -> float:
    """Return after how many seconds no more waits than two seconds' sending."""
    begin = time.perf_counter()
    while server.lag()["pending_items"] > 2 * rate:
        time.sleep(0.1)
    return time.perf_counter() - begin
