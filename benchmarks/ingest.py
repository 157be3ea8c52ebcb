"""Ingest: spans a second acknowledged and stored, the acknowledgement's p50 and p99, memory.

    python benchmarks/ingest.py --seconds 30

Prints one line a body size: full speed first, then paced at half of what was stored. "Stored" counts the time until the
last acknowledged span is in the store and in its run's facts. The load generator runs on the same machine.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

from load import bodies, quantile, send

from server import Server


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each measurement")
    parser.add_argument("--body-spans", type=int, nargs="+", default=[168, 21, 5], help="spans a body")
    parser.add_argument(
        "--rate", type=float, default=None, help="spans a second; without it full speed, then half of it"
    )
    arguments = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    heads = (
        "spans/body",
        "paced",
        "acked/s",
        "stored/s",
        "p50 ms",
        "p99 ms",
        "failed",
        "drain s",
        "RSS MB",
        "child MB",
    )
    print(" ".join(f"{head:>10}" for head in heads))
    for size in arguments.body_spans:
        pace = arguments.rate
        for _ in range(1 if arguments.rate else 2):
            stored = _measure(size, arguments.seconds, pace)
            pace = stored / 2


def _measure(size: int, seconds: float, rate: float | None) -> float:
    load = bodies(max(12, 2000 // size), size)
    with tempfile.TemporaryDirectory(prefix="spanhouse-bench-") as directory, Server(Path(directory)) as server:
        send(server.port, load, seconds=2, rate=2000, seed=99)
        server.drain()
        result = send(server.port, load, seconds=seconds, rate=rate)
        memory = server.memory()
        drained = server.drain()
        stored = result.acknowledged / (result.seconds + drained)
        figures = (
            f"{size}",
            f"{rate:.0f}" if rate else "-",
            f"{result.acknowledged / result.seconds:.0f}",
            f"{stored:.0f}",
            f"{quantile(result.latencies, 0.5) * 1e3:.1f}",
            f"{quantile(result.latencies, 0.99) * 1e3:.1f}",
            f"{result.failed}",
            f"{drained:.1f}",
            f"{memory['server'] / 1e6:.0f}",
            f"{memory['children'] / 1e6:.0f}",
        )
        print(" ".join(f"{figure:>10}" for figure in figures), flush=True)
    return stored


if __name__ == "__main__":
    main()
