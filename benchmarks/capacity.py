"""What a span takes on disk and what that means: measured on seeded runs with texts that do not repeat.

    python -m benchmarks.capacity                     # measures, about a minute
    python -m benchmarks.capacity --bytes 180         # computes from a figure measured elsewhere

The text is made of words drawn from a vocabulary of 20,000 by a Zipf law, which compresses about as prose does; growing
histories compress better, random identifiers worse.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from spanhouse_collector.normalise import normalise
from spanhouse_collector.records import RawRecord
from spanhouse_storage import Store, migrate, open_store

SPANS_A_RUN = 20
DAY_SECONDS = 86_400
STORED_A_SECOND = 15_000
"""Spans a second that one collector stores on two cores, half of what docs/benchmarks.md measured."""
SHARD_SPANS_A_SECOND = 50_000
"""Spans a second that a shard inserts and merges beside reads: half of the insert rate measured for this width."""
DISK_A_SHARD = 8e12
USD_A_TERABYTE_MONTH = 80.0
"""Block storage, list price of large clouds in 2026; replicas are counted apart."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes per span: as sent, and on disk after merging, by column."""

    spans: int
    otlp: float
    disk: float
    columns: list[tuple[str, float]]


def measure(folder: Path, runs: int, seed: int = 7) -> Measured:
    """Store seeded runs and return what their spans take."""
    store = open_store(folder)
    try:
        migrate(store)
        sent = _insert(store, runs, seed)
        # With a file for each column the engine can say what each takes; small parts otherwise share one.
        store.execute("ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0")
        store.execute("OPTIMIZE TABLE spans FINAL SETTINGS optimize_skip_merged_partitions = 0")
        spans = runs * SPANS_A_RUN
        total = store.query(
            "SELECT sum(bytes_on_disk) AS bytes FROM system.parts"
            " WHERE database = currentDatabase() AND table = 'spans' AND active"
        )
        columns = store.query(
            "SELECT name, data_compressed_bytes AS bytes FROM system.columns"
            " WHERE database = currentDatabase() AND table = 'spans' ORDER BY bytes DESC LIMIT 12"
        ).to_pylist()
    finally:
        store.close()
    disk = float(total.column("bytes")[0].as_py()) / spans
    return Measured(spans, sent / spans, disk, [(row["name"], row["bytes"] / spans) for row in columns])


def _insert(store: Store, runs: int, seed: int) -> int:
    chance, sent = random.Random(seed), 0
    words = [_word(chance) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    batch = 500
    for first in range(0, runs, batch):
        bodies = [_run(number, chance, words, weights) for number in range(first, min(first + batch, runs))]
        sent += sum(map(len, bodies))
        now = time.time_ns() // 1000
        made = normalise([RawRecord("traces", body, now, "acme") for body in bodies])
        store.insert("spans", made.tables["spans"], f"capacity-{first}")
    return sent


def _run(number: int, chance: random.Random, words: list[str], weights: list[float]) -> bytes:
    trace, start = chance.randbytes(16), 1_770_000_000_000_000_000 + number * 3_000_000_000
    root, spans = chance.randbytes(8), []
    for index in range(SPANS_A_RUN):
        is_tool = index % 2 == 0
        said = {
            "gen_ai.operation.name": "invoke_agent" if not index else "execute_tool" if is_tool else "chat",
            "gen_ai.agent.name": f"agent-{number % 7}",
            "user.id": f"user-{chance.randrange(5_000)}",
            "spanhouse.request_id": chance.randbytes(8).hex(),
        }
        text = " ".join(chance.choices(words, weights, k=chance.randrange(40, 160)))
        if index and is_tool:
            said |= {"gen_ai.tool.name": f"tool_{index % 5}", "gen_ai.tool.call.result": text}
        elif index:
            said |= {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.response.id": chance.randbytes(12).hex()}
            parts = f'[{{"type":"text","content":"{text}"}}]'
            said["gen_ai.output.messages"] = f'[{{"role":"assistant","parts":{parts}}}]'
        begin = start + index * 150_000_000 + chance.randrange(10_000_000)
        spans.append(
            Span(
                trace_id=trace,
                span_id=root if not index else chance.randbytes(8),
                parent_span_id=b"" if not index else root,
                name=said["gen_ai.operation.name"],
                start_time_unix_nano=begin,
                end_time_unix_nano=begin + chance.randrange(5_000_000, 120_000_000),
                attributes=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items()],
            )
        )
    scoped = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[scoped]).SerializeToString()


def _word(chance: random.Random) -> str:
    return "".join(chance.choices("etaoinshrdlucmfwypvbgkjqxz", k=chance.randrange(2, 11)))


def plan(spans_a_day: float, bytes_a_span: float, days: int = 30, replicas: int = 2) -> dict[str, float]:
    """Return what a number of spans a day needs: collectors, shards, and disk with its price a month."""
    peak = spans_a_day / DAY_SECONDS * 2.5
    disk = spans_a_day * days * bytes_a_span
    return {
        "peak spans/s": peak,
        "collectors": -(-peak // STORED_A_SECOND),
        "shards": max(-(-peak // SHARD_SPANS_A_SECOND), -(-disk // DISK_A_SHARD)),
        "TB of one copy": disk / 1e12,
        "USD a month": disk * replicas / 1e12 * USD_A_TERABYTE_MONTH,
    }


def main() -> None:
    """Print the tables of docs/capacity.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--bytes", type=float, help="Bytes per span on disk; measured where not given")
    given = parser.parse_args()
    size = given.bytes
    if size is None:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder) / "store", given.runs)
        size = found.disk
        ratio = found.otlp / found.disk
        print(f"{found.spans:,} spans: {found.otlp:,.0f} B as OTLP, {found.disk:,.0f} B on disk, 1/{ratio:.1f}")
        for name, column in found.columns:
            print(f"  {name:20} {column:7.1f} B")
    cost = 1e6 * SPANS_A_RUN * size * 2 / 1e12 * USD_A_TERABYTE_MONTH
    print(f"a million runs of {SPANS_A_RUN} spans, two copies: {cost:.2f} USD a month")
    for spans in (1e9, 1e10, 1e11):
        print(f"{spans:,.0f} spans a day:", ", ".join(f"{k} {v:,.0f}" for k, v in plan(spans, size).items()))


if __name__ == "__main__":
    main()
