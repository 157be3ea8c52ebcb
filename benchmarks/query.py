"""Queries over the API: time of the reads people wait for, over a store of seeded runs.

    python -m benchmarks.query --spans 10000000            # 500,000 runs over 14 days; minutes to fill
    python -m benchmarks.query --spans 10000000 --keep DIR # fill once, ask again later

Prints the first call after a start, p50 and p95 over 50 calls each, then p95 again while the server takes all the spans
it can. The first call is cold for the server; the pages of its files may still lie in the system's cache, unless
``--drop-caches`` may clear that (root).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from urllib.error import HTTPError
from urllib.parse import quote

from benchmarks.load import Load, quantile, send
from benchmarks.long_trace import SPANS, long_trace
from benchmarks.readers import HEADLINE
from benchmarks.seeding import fill, rare_word, runs_of
from benchmarks.server import Server, machine

Path_ = Callable[[], str]


def main() -> None:
    """Fill a store, run the queries, print their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="data directory to fill, or to use where it is filled")
    parser.add_argument("--drop-caches", action="store_true", help="clear the system's cache before the first calls")
    arguments = parser.parse_args()
    print(machine())
    with ExitStack() as stack:
        data = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spanhouse-")), "data")
        if not (data / "store").exists():
            _fill(data, arguments.spans)
        if arguments.drop_caches:
            Path("/proc/sys/vm/drop_caches").write_text("3", encoding="utf-8")
        server = stack.enter_context(Server(data))
        print(f"start: {server.start_seconds:.1f} s, memory {server.memory()}")
        _ask(server, arguments.calls, runs_of(arguments.spans))


def _fill(data: Path, spans: int) -> None:
    begin = time.perf_counter()
    stored = fill(data, spans)
    size = sum(f.stat().st_size for f in (data / "store").rglob("*") if f.is_file())
    seconds = time.perf_counter() - begin
    print(f"{stored:,} spans stored in {seconds:.0f} s, {size / stored:.0f} bytes a span on disk", flush=True)


def _ask(server: Server, calls: int, runs: int) -> None:
    trace = long_trace(server)
    reads = _reads(server, trace, runs)
    first = {name: _timed(server, path()) for name, path in reads.items()}
    warm = {name: sorted(_timed(server, path()) for _ in range(calls)) for name, path in reads.items()}
    print(f"memory after the reads: {server.memory()}")
    with _full_ingest(server):
        busy = {name: sorted(_timed(server, path()) for _ in range(calls)) for name, path in reads.items()}
    print(f"{'read':<34} {'first ms':>9} {'p50 ms':>8} {'p95 ms':>8} {'p95 ms under ingest':>20}")
    for name in reads:
        figures = (quantile(warm[name], 0.5), quantile(warm[name], 0.95), quantile(busy[name], 0.95))
        print(f"{name:<34} {first[name]:>9.1f} {figures[0]:>8.1f} {figures[1]:>8.1f} {figures[2]:>20.1f}", flush=True)


def _reads(server: Server, trace: str, runs: int) -> dict[str, Path_]:
    # Every second page of the last two weeks, so that runs of all ages are asked about.
    sample = [
        run
        for age in range(1, 14, 2)
        for run in server.get(f"/api/v1/runs?limit=50&until={age}d&since={age + 1}d")["runs"]
    ]
    random = Random(3)

    def pick(field: str) -> str:
        return quote(str(random.choice(sample)[field]), safe="")

    def filtered() -> str:
        agent, tenant = pick("agent"), pick("tenant")
        return f"/api/v1/runs?agent={agent}&tenant={tenant}&stop_reason=finish&limit=50"

    asked = quote('stop_reason = finish and tool("web.get").errors >= 0 and cost > 0.00001')
    repetitions = max(1, runs // 4_760)
    return {
        "triage by request id": lambda: f"/api/v1/requests/{pick('request_id')}",
        "unknown request id": lambda: f"/api/v1/requests/req-none-{random.randrange(10**9)}",
        "run by id": lambda: f"/api/v1/runs/{pick('run_id')}",
        "spans of a run": lambda: f"/api/v1/runs/{pick('run_id')}/spans",
        f"trace of {SPANS:,} spans": lambda: f"/api/v1/runs/{trace}/spans?limit={SPANS}",
        "runs, first page": lambda: "/api/v1/runs?limit=50",
        "runs, three filters": filtered,
        "runs, filter language, 24 h": lambda: f"/api/v1/runs?limit=50&since=24h&filter={asked}",
        "rare word, all time": lambda: f"/api/v1/runs?limit=50&text={rare_word(random.randrange(repetitions))}",
        "overview, 24 hours": lambda: f"/api/v1/metrics?name={HEADLINE}&since=24h",
        "overview, 7 days": lambda: f"/api/v1/metrics?name={HEADLINE}&since=7d",
        "overview, 90 days": lambda: f"/api/v1/metrics?name={HEADLINE}&since=90d",
        "overview with trend, 6 h steps": lambda: f"/api/v1/metrics?name={HEADLINE}&since=7d&step=6h",
        "tools, 7 days": lambda: "/api/v1/tools?since=7d",
        "sessions, first page": lambda: "/api/v1/sessions?limit=50&since=24h",
    }


@contextmanager
def _full_ingest(server: Server) -> Iterator[None]:
    over = threading.Event()

    def push() -> None:
        seed = 100
        while not over.is_set():
            send(server.port, Load(), seconds=2, connections=4, seed=seed)
            seed += 1

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _timed(server: Server, path: str) -> float:
    begin = time.perf_counter()
    with suppress(HTTPError):  # a 404 is an answer, and its time is what is wanted
        server.get(path)
    return (time.perf_counter() - begin) * 1e3


if __name__ == "__main__":
    main()
