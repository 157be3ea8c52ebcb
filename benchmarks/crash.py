"""kill -9 of the whole server at seeded moments while senders send."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.senders import Check, Senders
from benchmarks.server import Server

from spanhouse_storage import open_store


@dataclass(frozen=True)
class CrashReport:
    """What twenty crashes, or however many, left.

    Attributes:
        check: what became of the spans.
        runs_spans: spans stored, as the runs' facts count them.
        stored: spans stored.
        restarts: seconds from each start of the process after a kill to its first ready answer.
    """

    check: Check
    runs_spans: int
    stored: int
    restarts: list[float]


def crash(directory: Path, *, kills: int, rate: float, alive: tuple[float, float], seed: int = 1) -> CrashReport:
    """Kill a server again and again and return what was left.

    Args:
        directory: for the server's data.
        kills: how often.
        rate: spans a second that four senders try to send throughout.
        alive: seconds between which the server lives after each start; drawn evenly.
        seed: of the moments.
    """
    random = Random(seed)
    restarts: list[float] = []
    with Server(directory / "data") as server:
        with Senders(server.port, rate=rate) as senders:
            for _ in range(kills):
                time.sleep(random.uniform(*alive))
                server.kill()
                server.start()
                restarts.append(server.start_seconds)
            senders.wait_for(1)
        server.drain()
    with closing(open_store(str(directory / "data" / "store"))) as store:
        runs = store.query("SELECT sum(spans_stored) AS n FROM runs FINAL")["n"].to_pylist()[0]
        stored = store.query("SELECT count() AS n FROM spans FINAL")["n"].to_pylist()[0]
        return CrashReport(senders.check(store), runs, stored, restarts)
