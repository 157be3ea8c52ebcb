"""What the guard costs an agent: microseconds a tool call, as multiples of a bare OpenTelemetry span in one run.

    python -m benchmarks.guard
    python -m benchmarks.guard --logfire 4.15.0      # beside it, from PyPI, in an environment of its own

The same function takes turns in blocks: in a bare span with the same tool attributes, as a Spanhouse tool, as a
guarded tool (policy decision, loop guard, limits, breaker), and guarded under a policy of fifty rules of which the last
one matches, without and with a budget in SQLite that processes share.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.load import quantile
from benchmarks.sdk import discard, in_span, look_up, timed
from benchmarks.server import free_port, machine
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import spanhouse as sh
from spanhouse_runtime.budgets import Budget, BudgetStore, Scope
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Decision, Policy, Rule

_LIMITS = Limits(max_tool_calls=10_000_000, max_seconds=3_600)
_RULES = 50
_PEER = """
import sys, time, logfire
logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
def look_up(order): return {"order": order, "state": "shipped", "carrier": "post", "days": 3}
def call(order):
    with logfire.span("execute_tool look_up", order=order) as span:
        found = look_up(order)
        span.set_attribute("result", found)
times = []
for number in range(int(sys.argv[1])):
    begin = time.perf_counter(); call(number); times.append(time.perf_counter() - begin)
print(*sorted(times)[len(times) // 10:])
"""


@dataclass(frozen=True, slots=True)
class _Way:
    call: Callable[[int], object]
    run: Callable[[], AbstractContextManager[object]]


def main() -> None:
    """Print median, 99th percentile and the multiple of the bare span, for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="calls a block; what is exported waits until its end")
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--logfire", default="", help="a version, installed where it is not there yet")
    arguments = parser.parse_args()
    print(machine())
    port = free_port()
    far_end = multiprocessing.get_context("spawn").Process(target=discard, args=(port,), daemon=True)
    far_end.start()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces")))
    sh.init("bench", url=f"http://127.0.0.1:{port}")
    try:
        with _ways(provider) as ways:
            times: dict[str, list[float]] = {name: [] for name in ways}
            for block in range(arguments.blocks + 1):
                for name, way in ways.items():
                    with way.run():
                        found = [timed(way.call, number) for number in range(arguments.calls)]
                    provider.force_flush()
                    sh.flush()
                    times[name] += found if block else []
        if arguments.logfire:
            times[f"Logfire {arguments.logfire} span"] = _logfire(arguments.logfire, arguments.calls * arguments.blocks)
    finally:
        sh.shutdown()
        provider.shutdown()
        far_end.kill()
    bare = quantile(next(iter(times.values())), 0.5)
    print(f"{'':<40} {'p50 µs':>8} {'p99 µs':>8} {'to bare':>7}")
    for name, found in times.items():
        middle = quantile(found, 0.5)
        print(f"{name:<40} {middle * 1e6:>8.1f} {quantile(found, 0.99) * 1e6:>8.1f} {middle / bare:>7.1f}")


@contextmanager
def _ways(provider: TracerProvider) -> Iterator[Mapping[str, _Way]]:
    with tempfile.TemporaryDirectory() as folder:
        store = BudgetStore(
            f"sqlite:///{Path(folder) / 'budgets.db'}",
            [Budget(scope=Scope.TENANT_DAY, max_tool_calls=10**9)],
        )
        one = Policy(allow=("look_up",))
        others = [Rule(name=f"rule-{n}", tool=f"tool_{n}*", decision=Decision.DENY) for n in range(1, _RULES)]
        many = Policy(rules=(*others, Rule(name="look-up", tool="look_*", decision=Decision.ALLOW)))
        guards = {
            "guarded": Guard("bench", policy=one, limits=_LIMITS),
            f"guarded, {_RULES} rules": Guard("bench", policy=many, limits=_LIMITS),
            f"guarded, {_RULES} rules, shared budget": Guard("bench", policy=many, limits=_LIMITS, budgets=store),
        }
        run = partial(sh.run, "bench", agent="bench")
        try:
            yield {
                "OpenTelemetry span": _Way(partial(in_span, provider.get_tracer("bench")), run),
                "Spanhouse tool": _Way(sh.tool(name="look_up")(look_up), run),
                **{
                    f"Spanhouse tool, {name}": _Way(guard.tool(name="look_up")(look_up), partial(guard.run, "bench"))
                    for name, guard in guards.items()
                },
            }
        finally:
            store.close()


def _logfire(version: str, calls: int) -> list[float]:
    python = environment("logfire", version) / "python"
    said = subprocess.run([python, "-c", _PEER, str(calls)], check=True, capture_output=True, text=True).stdout
    return [float(number) for number in said.split()]


if __name__ == "__main__":
    main()
