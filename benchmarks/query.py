"""Queries over the API: time of the reads people wait for, after filling the store through the front door.

    python -m benchmarks.query --spans 1000000

Prints p50 and p95 over 50 calls each, the first call apart. Runs spread over 14 days.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.error import HTTPError
from urllib.parse import quote

from benchmarks.load import Load, quantile, send
from benchmarks.readers import HEADLINE
from benchmarks.server import Server, machine


def main() -> None:
    """Fill a store, run the queries, print their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=50)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="spanhouse-bench-") as directory, Server(Path(directory, "data")) as server:
        idle = server.memory()
        print(f"start with an empty store: {server.start_seconds:.1f} s")
        print(f"memory idle, server and decode child: {idle}")
        load = Load(tape_spans=100_000, spread=timedelta(days=14))
        sent = 0
        while sent < arguments.spans:
            sent += send(server.port, load, seconds=1, connections=2, seed=sent).acknowledged
            server.drain()
        size = sum(f.stat().st_size for f in Path(directory, "data", "store").rglob("*") if f.is_file())
        print(f"{sent:,} spans stored, {size / sent:.0f} bytes a span on disk")
        sample = server.get("/api/v1/runs?limit=200")["runs"]
        random = Random(3)

        def pick(field: str) -> str:
            return quote(str(random.choice(sample)[field]), safe="")

        reads: dict[str, Callable[[], str]] = {
            "triage by request id": lambda: f"/api/v1/requests/{pick('request_id')}",
            "run by id": lambda: f"/api/v1/runs/{pick('run_id')}",
            "spans of a run": lambda: f"/api/v1/runs/{pick('run_id')}/spans",
            "runs, three filters": lambda: "/api/v1/runs?agent=research&tenant=acme&stop_reason=finish&limit=50",
            "overview, 7 days, 8 metrics": lambda: f"/api/v1/metrics?name={HEADLINE}&since=7d",
            "overview with trend, 6 h steps": lambda: f"/api/v1/metrics?name={HEADLINE}&since=7d&step=6h",
            "metrics by agent, all time": lambda: f"/api/v1/metrics?name={HEADLINE}&by=agent",
            "tools, 7 days": lambda: "/api/v1/tools?since=7d",
            "unknown request id": lambda: "/api/v1/requests/req-there-is-none",
        }
        print(f"{'read':<32} {'first ms':>9} {'p50 ms':>8} {'p95 ms':>8}")
        for name, path in reads.items():
            times = [_timed(server, path()) for _ in range(arguments.calls + 1)]
            print(
                f"{name:<32} {times[0]:>9.1f} {quantile(times[1:], 0.5):>8.1f} {quantile(times[1:], 0.95):>8.1f}",
                flush=True,
            )


def _timed(server: Server, path: str) -> float:
    begin = time.perf_counter()
    with suppress(HTTPError):  # a 404 is an answer, and its time is what is wanted
        server.get(path)
    return (time.perf_counter() - begin) * 1e3


if __name__ == "__main__":
    main()
