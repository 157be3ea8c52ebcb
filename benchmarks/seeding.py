"""A store filled fast: seeded runs through the collector's own normalising and the facts' own rules, then repeated.

One tape of runs is normalised and reckoned once. It is stored again and again with other ids and later times, straight
into the tables, so that ten million spans take minutes. Text repeats with the tape, which flatters bytes on disk; each
repetition has a word of its own in one run, for searches of a rare word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from benchmarks.bodies import SPANS_A_RUN, bodies

from spanhouse.identity import run_id_of
from spanhouse_analysis import facts, frames
from spanhouse_collector.normalise import normalise
from spanhouse_collector.records import RawRecord
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.state import open_state, set_watermark
from spanhouse_storage.tables import SCHEMAS

TAPE_SPANS = 99_960
BODY_SPANS = 168


def rare_word(repetition: int) -> str:
    """Return the word that stands in one span of a repetition and nowhere else."""
    return f"rare{repetition:05d}word"


def fill(data: Path, spans: int, *, days: float = 14, progress: Callable[[int], None] = lambda _: None) -> int:
    """Fill the store of a data directory no server has open; return how many spans it has.

    Args:
        data: the data directory.
        spans: at least so many.
        days: runs are spread evenly over so many days before now.
        progress: told the spans stored so far.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = open_state(str(data / "state.db"))
    store = open_store(str(data / "store"))
    try:
        migrate(store)
        tape, runs, steps = _tape()
        repetitions = -(-spans // tape.height)
        now = datetime.now(UTC)
        oldest = timedelta(days=days)
        for number in range(repetitions):
            # Whole seconds, since the bucket of a span is one.
            back = round(oldest.total_seconds() * (1 - (number + 1) / repetitions))
            _put(store, number, timedelta(seconds=-back), tape, runs, steps)
            progress((number + 1) * tape.height)
        # All that is there is in the facts already; a server that starts must not reckon it again.
        set_watermark(state, "facts", (now + timedelta(seconds=1)).isoformat())
        return repetitions * tape.height
    finally:
        store.close()
        state.dispose()


def _tape() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    now = datetime.now(UTC)
    received = int(now.timestamp() * 1e6)
    tape = bodies(TAPE_SPANS // BODY_SPANS, BODY_SPANS, spread=timedelta(minutes=20))
    records = [RawRecord("traces", bytes(body.data), received, "default", 1) for body in tape]
    parts = [normalise(records[first : first + 50]).tables["spans"] for first in range(0, len(records), 50)]
    spans = pl.concat([frames.from_table(part) for part in parts])
    found = facts.compute(spans, now + timedelta(hours=1))
    version = pl.lit(received, dtype=pl.UInt64).alias("version")
    return spans, _whole(found.runs.with_columns(version), "runs"), _whole(found.steps.with_columns(version), "steps")


def _whole(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    return frames.from_table(frames.to_table(frame, table))


def _put(
    store: Store, number: int, shift: timedelta, spans: pl.DataFrame, runs: pl.DataFrame, steps: pl.DataFrame
) -> None:
    roots = runs.select("trace_id", "root_span_id", "run_id")
    renamed = {old: run_id_of(_new_id(trace, number), root) for trace, root, old in roots.iter_rows() if trace and root}
    rare = pl.when(pl.int_range(pl.len()) == number % spans.height)
    word = rare.then(pl.col("output") + f" {rare_word(number)}").otherwise(pl.col("output")).alias("output")
    for table, frame in (("spans", spans.with_columns(word)), ("steps", steps), ("runs", runs)):
        moved = _moved(frame, number, shift)
        if "run_id" in moved.columns:
            moved = moved.with_columns(pl.col("run_id").replace(renamed))
        rows = moved.select(SCHEMAS[table].names).to_arrow().cast(SCHEMAS[table])
        store.insert(table, rows, hashlib.sha256(f"seed {table} {number}".encode()).hexdigest()[:32])


def _new_id(trace: str, number: int) -> str:
    return f"{number:08x}{trace[8:]}"


def _moved(frame: pl.DataFrame, number: int, shift: timedelta) -> pl.DataFrame:
    changes: list[pl.Expr] = []
    if "trace_id" in frame.columns:
        changes.append((pl.lit(f"{number:08x}") + pl.col("trace_id").str.slice(8)).alias("trace_id"))
    if "request_id" in frame.columns:
        changes.append((pl.lit(f"req-{number:08x}") + pl.col("request_id").str.slice(12)).alias("request_id"))
    changes += [
        (pl.col(name) + shift).cast(frame.schema[name]).alias(name)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Datetime)
    ]
    return frame.with_columns(changes)


def runs_of(spans: int) -> int:
    """Return how many runs so many spans are."""
    return spans // SPANS_A_RUN
