"""Ingest: spans a second acknowledged and stored, the acknowledgement's p50 and p99, memory, the API meanwhile.

    python -m benchmarks.ingest                      # full speed and half of it, for three body sizes
    python -m benchmarks.ingest --sustain            # the highest pace that holds for a minute, then half of it
    python -m benchmarks.ingest --backlog 1000000    # memory with a million spans acknowledged and not yet stored

"Stored" counts the time until the last acknowledged span is in the store and in its run's facts. The load generator
runs on the same machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.load import Load, Result, quantile, send
from benchmarks.readers import Readers
from benchmarks.server import MemoryPeak, Server, machine
from benchmarks.sustain import Probe, highest

HELD = 0.98
"""Share of the asked pace that must be acknowledged, and stored, for the pace to count as held."""
LAG_SECONDS = 5.0
"""Age of the oldest span not yet stored at the end of a pace that is held; batches alone wait a second."""


def main() -> None:
    """Run the benchmark that was asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each measurement")
    parser.add_argument("--body-spans", type=int, nargs="+", default=[168, 21, 5], help="spans a body")
    parser.add_argument("--rate", type=float, help="spans a second; without it full speed, then half of what is stored")
    parser.add_argument("--senders", type=int, default=1, help="processes of the load generator")
    parser.add_argument("--sustain", action="store_true", help="search the highest pace that holds for --seconds")
    parser.add_argument("--backlog", type=int, help="send at full speed until so many spans wait, then drain")
    arguments = parser.parse_args()
    print(machine())
    for size in arguments.body_spans:
        tape = Load(size).tape()
        mean = sum(len(body.data) for body in tape) / sum(body.spans for body in tape)
        print(f"{size} spans a body, {mean:.0f} bytes a span")
        directory = tempfile.TemporaryDirectory(prefix="spanhouse-bench-")
        with directory, Server(Path(directory.name, "data")) as server:
            _warm_up(server, Load(size))
            if arguments.backlog:
                _backlog(server, Load(size), arguments.backlog)
            elif arguments.sustain:
                _sustain(server, Load(size), arguments.seconds, arguments.senders)
            else:
                _speeds(server, Load(size), arguments)


def _warm_up(server: Server, load: Load) -> None:
    send(server.port, load, seconds=2, rate=2000, seed=99)
    server.drain()


def _speeds(server: Server, load: Load, arguments: argparse.Namespace) -> None:
    rate = arguments.rate
    for number in range(1 if rate else 2):
        result = send(server.port, load, seconds=arguments.seconds, rate=rate, processes=arguments.senders, seed=number)
        memory = server.memory()
        drained = server.drain()
        stored = result.acknowledged / (result.seconds + drained)
        print(
            f"  {f'paced at {rate:,.0f}/s' if rate else 'full speed'}: acknowledged {result.rate:,.0f}/s, "
            f"stored {stored:,.0f}/s, {_latency(result)}, drained in {drained:.1f} s, memory {memory}",
            flush=True,
        )
        rate = stored / 2


def _sustain(server: Server, load: Load, seconds: float, senders: int) -> None:
    flat = send(server.port, load, seconds=10, processes=senders, seed=1)
    stored = flat.acknowledged / (flat.seconds + server.drain())
    print(f"  10 s at full speed: acknowledged {flat.rate:,.0f}/s, stored {stored:,.0f}/s", flush=True)
    seed = 1

    def holds(rate: float, length: float) -> Probe:
        nonlocal seed
        seed += 1
        return _probe(server, load, rate, length, senders, seed)

    pace = highest(holds, low=0.5 * stored, high=2 * stored, probe_seconds=15, confirm_seconds=seconds)
    half = send(server.port, load, seconds=min(seconds, 30), rate=pace / 2, processes=senders, seed=0)
    print(
        f"  sustained for {seconds:.0f} s: {pace:,.0f}/s; at half of it {_latency(half)}, memory {server.memory()}",
        flush=True,
    )


def _probe(server: Server, load: Load, rate: float, seconds: float, senders: int, seed: int) -> Probe:
    before, began = server.stored_spans(), time.perf_counter()
    with Readers(server) as readers, MemoryPeak(server) as memory:
        result = send(server.port, load, seconds=seconds, rate=rate, processes=senders, seed=seed)
    stored = (server.stored_spans() - before) / (time.perf_counter() - began)
    lag = float(server.lag()["pending_seconds"])
    drained = server.drain()
    held = not result.failed and result.rate >= HELD * rate and lag <= LAG_SECONDS and drained <= 2 * LAG_SECONDS
    verdict = "holds" if held else "does not hold"
    print(
        f"  {rate:,.0f}/s for {seconds:.0f} s {verdict}: acknowledged {result.rate:,.0f}/s, "
        f"stored {stored:,.0f}/s,\n    oldest unstored {lag:.1f} s, drained in {drained:.1f} s, {_latency(result)}, "
        f"{readers.summary()}, memory {memory.peak}",
        flush=True,
    )
    return Probe(held=held, rate=result.rate)


def _backlog(server: Server, load: Load, spans: int) -> None:
    acknowledged, waiting, seed = 0, 0, 0
    began = time.perf_counter()
    with MemoryPeak(server) as memory:
        while waiting < spans:
            seed += 1
            acknowledged += send(server.port, load, seconds=2, seed=seed).acknowledged
            waiting = server.lag()["pending_items"]
        filled, full = time.perf_counter() - began, server.memory()
        drained = server.drain()
    print(
        f"  {acknowledged:,} acknowledged in {filled:.0f} s, {waiting:,} of them waiting: memory {full}; "
        f"drained in {drained:.0f} s ({acknowledged / (filled + drained):,.0f}/s over all), peak {memory.peak}",
        flush=True,
    )


def _latency(result: Result) -> str:
    low, high = (quantile(result.latencies, q) * 1e3 for q in (0.5, 0.99))
    return f"answered in {low:.1f} ms (p99 {high:.1f})" + (f", {result.failed:,} refused" if result.failed else "")


if __name__ == "__main__":
    main()
