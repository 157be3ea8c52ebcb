"""Metrics over long windows: from runs and calls themselves, and from the parts kept of them.

    python -m benchmarks.rollups [--runs 500000] [--days 90] [--calls 1]

Runs are seeded and go straight into the tables of facts. `--calls` is the share of runs whose calls are stored too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from tests.support import many_runs

from spanhouse_analysis import frames
from spanhouse_analysis.metrics import MetricQuery, evaluate
from spanhouse_analysis.metrics.rollups.job import RollupJob
from spanhouse_storage import Store, migrate, open_store

NOW = datetime(2026, 6, 30, 11, 40, tzinfo=UTC)
CARDS = (
    "completion_rate",
    "autonomous_completion_rate",
    "tokens_per_run_p95",
    "cost",
    "tool_error_rate",
    "run_seconds_p95",
)
TOOLS = ("tool_error_rate", "policy_deny_rate", "runs", "tool_ms_p50", "tool_ms_p95")
_CHUNK = 50_000
_TIMES = 5


def main() -> None:
    """Fill a store, measure, build the parts, measure again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500_000)
    parser.add_argument("--days", type=float, default=90)
    parser.add_argument("--calls", type=float, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store")
        try:
            migrate(store)
            _fill(store, given.runs, given.days, given.calls)
            _measure(store, exact=True)
            began = time.perf_counter()
            job = RollupJob(store, clock=lambda: NOW)
            while job.tick():
                pass
            print(f"parts of {given.days:g} days built in {time.perf_counter() - began:.1f} s")
            _measure(store, exact=False)
        finally:
            store.close()


def _fill(store: Store, count: int, days: float, share: float) -> None:
    rows = 0
    for number in range(count // _CHUNK):
        length = days * _CHUNK / count
        first = NOW - timedelta(days=days) + number * timedelta(days=length)
        runs = many_runs.runs(_CHUNK, first, length, number)
        calls = many_runs.calls(runs.head(int(_CHUNK * share)), number)
        store.insert("runs", frames.to_table(runs, "runs"), f"runs-{number}")
        store.insert("steps", frames.to_table(calls, "steps"), f"steps-{number}")
        rows += calls.height
    print(f"{count:,} runs and {rows:,} calls over {days:g} days")


def _measure(store: Store, *, exact: bool) -> None:
    for days, step in ((1, 3_600), (7, 6 * 3_600), (30, 86_400), (90, 7 * 86_400)):
        since = NOW - timedelta(days=days)

        def asked(
            *names: str, by: tuple[str, ...] = (), step: float | None = None, since: datetime = since
        ) -> Callable[[], object]:
            query = MetricQuery(names, since=since, by=by, step=step, exact=exact)
            return lambda: evaluate(store, query, now=NOW)

        parts = {
            "cards": asked(*CARDS),
            "trend": asked(*CARDS, step=step),
            "reasons": asked("stop_reason_share"),
            "agents": asked(*CARDS, by=("agent",)),
            "tools": asked(*TOOLS, by=("tool",)),
            "spend": asked("spend", by=("agent",)),
        }
        took = {name: [_seconds(call) for _ in range(_TIMES)] for name, call in parts.items()}
        wall = {name: median(wall for wall, _ in times) * 1000 for name, times in took.items()}
        work = sum(median(work for _, work in times) * 1000 for times in took.values())
        listed = "  ".join(f"{name} {ms:.0f}" for name, ms in wall.items())
        of = "runs" if exact else "parts"
        print(f"{of:>5} {days:>3} d: {sum(wall.values()):6.0f} ms, {work:6.0f} ms of CPU  ({listed})", flush=True)


def _seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Return the time that passed and that of the processors, which others at work do not lengthen much."""
    began, worked = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - worked


if __name__ == "__main__":
    main()
