"""Spans of traces that began while this process runs, kept so that their facts need no reading back.

What is kept of a trace is all the store has of it, or nothing: where that is in doubt the trace is given up, and its
spans are read from the store as ever. docs/adr/0009-facts-from-memory.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_analysis import frames
from spanhouse_analysis.classes import AGENTIC, MODEL
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.seen import SeenTraces, checksums
from spanhouse_storage.tables import SCHEMAS

LIMIT_BYTES: Final = 128 << 20
_TEXT_BYTES: Final = 65_536
"""Longer texts are not kept; a preview that needs one reads it."""
_TEXTS: Final = ("input", "output")
_NUMBER: Final = "number"

Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of one stored batch, with the number of their trace, and which numbers those are."""

    rows: pa.Table
    numbers: Numbers


class FreshSpans:
    """Spans by trace, within a limit of bytes. Not thread-safe: the owner locks.

    Args:
        seen: which traces may have spans in the store that are not here; traces given to this are noted there.
        limit_bytes: of the rows kept. A batch that does not fit is not kept, nor are its traces from then on.
    """

    def __init__(self, seen: SeenTraces, limit_bytes: int = LIMIT_BYTES) -> None:
        self._seen = seen
        self._limit = limit_bytes
        self._numbers: dict[Trace, int] = {}
        self._published: set[Trace] = set()
        self._next = 0
        self._batches: list[_Batch] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def is_new(self, trace: Trace) -> bool:
        """Return whether the trace is kept and nothing of it has been published."""
        return trace in self._numbers and trace not in self._published

    def among(self, traces: Iterable[Trace]) -> list[Trace]:
        """Return those of the traces that are kept."""
        return [trace for trace in traces if trace in self._numbers]

    def add(self, traces: pl.DataFrame, spans: Sequence[pa.Table], old: Iterable[Trace] = ()) -> None:
        """Keep the spans of a stored batch as far as their traces are new or kept already.

        Args:
            traces: every trace of the batch: ``tenant, trace_id, first_start, last_start``.
            spans: rows of the table ``spans``, all of the batch.
            old: traces that are known to have been there before.
        """
        rows = list(traces.select("tenant", "trace_id", "first_start").iter_rows())
        names = [(tenant, trace) for tenant, trace, _ in rows]
        sums = checksums(names)
        known = self._seen.contain(sums)
        self._seen.add(sums, traces["last_start"].max())  # type: ignore[arg-type]
        old = set(old)
        kept: dict[Trace, int] = {}
        for trace, (_, _, first), before in zip(names, rows, known, strict=True):
            number = self._numbers.get(trace)
            if self._seen.reaches(first) and (number is not None or (not before and trace not in old)):
                kept[trace] = self._next if number is None else number
                self._next += number is None
            elif number is not None:
                self._give_up(trace)
        if not kept:
            return
        batch = _slim(spans, kept)
        if batch.rows.nbytes + self.bytes > self._limit:
            self.drop(kept)
            return
        self._numbers.update(kept)
        self._keep(batch)

    def note(self, traces: pl.DataFrame) -> None:
        """Note traces whose spans are in the store and not among those kept, or have changed there."""
        names = list(traces.select("tenant", "trace_id").iter_rows())
        self._seen.add(checksums(names), traces["last_start"].max())  # type: ignore[arg-type]
        self.drop(names)

    def spans(self, traces: Iterable[Trace]) -> pl.DataFrame:
        """Return what is kept of the traces: ``frames.FACT_COLUMNS``, ``has_output``, ``input`` and ``output``.

        The texts are null where they are in the store alone.
        """
        wanted = np.array([self._numbers[trace] for trace in traces if trace in self._numbers], dtype=np.int64)
        found = [_of(batch, wanted) for batch in self._batches]
        return frames.from_table(pa.concat_tables([_NOTHING, *(rows for rows in found if rows.num_rows)])).drop(_NUMBER)

    def computed(self, traces: Iterable[Trace], running: Iterable[Trace]) -> None:
        """Drop the traces that were published, but for those whose runs go on, while there is room for more."""
        going_on = set(self.among(running)) if self.bytes <= self._limit // 2 else set()
        self._published |= going_on
        self.drop(trace for trace in traces if trace not in going_on)

    def clear(self) -> None:
        """Give every trace up: from now on their spans are read from the store."""
        self.drop(list(self._numbers))

    def drop(self, traces: Iterable[Trace]) -> None:
        """Give the traces up: from now on their spans are read from the store."""
        for trace in traces:
            self._give_up(trace)
        alive = np.fromiter(self._numbers.values(), dtype=np.int64, count=len(self._numbers))
        batches, self._batches, self.bytes = self._batches, [], 0
        for batch in batches:
            left = np.isin(batch.numbers, alive)
            if left.all():
                self._keep(batch)
            elif left.any():
                rows = _of(batch, alive)
                self._keep(_Batch(rows, batch.numbers[left]))

    def _give_up(self, trace: Trace) -> None:
        self._numbers.pop(trace, None)
        self._published.discard(trace)

    def _keep(self, batch: _Batch) -> None:
        if batch.rows.num_rows:
            self._batches.append(batch)
            self.bytes += batch.rows.nbytes


def _slim(spans: Sequence[pa.Table], kept: dict[Trace, int]) -> _Batch:
    """Return copies of the rows of the traces kept; a view would hold all the columns they were cut from."""
    numbers = pl.DataFrame(
        [(tenant, trace, number) for (tenant, trace), number in kept.items()],
        schema={"tenant": pl.String, "trace_id": pl.String, _NUMBER: pl.Int64},
        orient="row",
    )
    parts = []
    for table in spans:
        if not table.num_rows:
            continue
        keys = frames.from_table(
            table.select(["tenant", "trace_id", "span_id", "span_class", "parent_span_id", "start"])
        )
        keyed = keys.with_row_index("row").join(numbers, on=["tenant", "trace_id"], how="inner", maintain_order="left")
        rows = table.select([*frames.FACT_COLUMNS, *_TEXTS]).take(pa.array(keyed["row"].to_arrow()))
        parts.append(_with_texts(rows, keyed))
    rows = pa.concat_tables([_NOTHING, *parts])
    return _Batch(rows, numbers[_NUMBER].to_numpy())


def _with_texts(rows: pa.Table, keyed: pl.DataFrame) -> pa.Table:
    """Keep the texts previews may be cut from: of agents and roots, the first question and last answer of models."""
    model = keyed.select(pl.col("span_class") == MODEL).to_series()
    own = keyed.select(pl.col("span_class").is_in(AGENTIC) | (pl.col("parent_span_id") == "")).to_series()
    calls = keyed.with_row_index("place").filter(model).sort(_NUMBER, "start", "span_id").group_by(_NUMBER)
    ends = {"input": calls.agg(pl.col("place").first()), "output": calls.agg(pl.col("place").last())}
    answered = pc.starts_with(rows["output"], "[")
    for name, chosen in ends.items():
        wanted = own.to_numpy().copy()
        wanted[chosen["place"].to_numpy()] = True
        text = rows[name]
        size = pc.binary_length(text)
        held = pc.or_(pc.equal(size, 0), pc.and_(pa.array(wanted), pc.less_equal(size, _TEXT_BYTES)))
        rows = rows.set_column(
            rows.column_names.index(name), _SCHEMA.field(name), pc.if_else(held, text, pa.scalar(None, pa.string()))
        )
    rows = rows.append_column(_SCHEMA.field(frames.HAS_OUTPUT), answered)
    rows = rows.append_column(_SCHEMA.field(_NUMBER), pa.array(keyed[_NUMBER].to_numpy()))
    return rows.select(_SCHEMA.names).cast(_SCHEMA)


def _of(batch: _Batch, numbers: Numbers) -> pa.Table:
    inside = np.isin(batch.numbers, numbers)
    if inside.all():
        return batch.rows
    if not inside.any():
        return batch.rows.slice(0, 0)
    return batch.rows.filter(pa.array(np.isin(batch.rows[_NUMBER].to_numpy(), numbers)))


_SCHEMA: Final = pa.schema(
    [
        *(SCHEMAS["spans"].field(name) for name in frames.FACT_COLUMNS),
        pa.field(frames.HAS_OUTPUT, pa.bool_()),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        pa.field(_NUMBER, pa.int64()),
    ]
)
_NOTHING: Final = _SCHEMA.empty_table()
