"""People at the API while it ingests: triage by request id and the headline metrics, a few times a second."""

from __future__ import annotations

import threading
import time
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import quote

from benchmarks.load import quantile
from benchmarks.server import Server

HEADLINE = (
    "completion_rate,autonomous_completion_rate,tool_error_rate,loop_rate,"
    "policy_deny_rate,tokens_per_run_p50,tokens_per_run_p95,cost"
)


class Readers:
    """Two readers, each asking every half second until the block ends; the server must have runs already.

    Attributes:
        times: seconds of every answer, by what was asked.
    """

    def __init__(self, server: Server, *, pause: float = 0.5) -> None:
        self.times: dict[str, list[float]] = {"triage": [], "metrics": []}
        self._server, self._pause = server, pause
        random = Random(5)
        known = [run["request_id"] for run in server.get("/api/v1/runs?limit=100")["runs"]]
        asked = {
            "triage": lambda: f"/api/v1/requests/{quote(random.choice(known), safe='')}",
            "metrics": lambda: f"/api/v1/metrics?name={HEADLINE}&since=7d",
        }
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(name, path)) for name, path in asked.items()]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def summary(self) -> str:
        """Return the 95th percentiles in words."""
        return ", ".join(f"{name} p95 {quantile(times, 0.95) * 1e3:.0f} ms" for name, times in self.times.items())

    def _read(self, name: str, path: object) -> None:
        assert callable(path)
        while not self._over.wait(self._pause):
            begin = time.perf_counter()
            self._server.get(path())
            self.times[name].append(time.perf_counter() - begin)
