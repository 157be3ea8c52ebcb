"""The ledger: how many records came, and what became of them, by receive minute, tenant, signal and source.

Of every record received exactly one thing is said: it was stored, rejected, sampled out, or duplicated (it came before
with the same finality, among the last ten million; it is written all the same and replaces its equal). Late is part of
stored: a record whose own end is more than an hour before its receipt. Source is the service that sent it, or
``spanhouse.audit`` for audit events.

Lines are counts by the minute in which records were received. A batch's lines are written with it as one row, under its
token and a version: a batch stored again after a crash replaces its row, so it counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from spanhouse import attributes as own
from spanhouse_collector.metrics import LEDGER_COUNTS as COUNTS
from spanhouse_collector.recent import Hashes, Recent
from spanhouse_collector.records import Counts
from spanhouse_storage.tables import SCHEMAS

LATE_SECONDS: Final = 3_600
MAX_SOURCE: Final = 200
"""Characters of a source's name that are kept."""

_NAMES: Final = ("tenant", "minute", "signal", "source", "reason")
_LINE: Final = {name: pl.UInt64 if name == "minute" else pl.String for name in _NAMES}
_NO_LINES: Final = pl.DataFrame(schema=_LINE | dict.fromkeys(COUNTS, pl.UInt64))
_MINUTE_US: Final = 60_000_000
_MICROS: Final = pl.Datetime("us", "UTC")

DAMAGED: Final = "acknowledged, then lost to damage of the journal's disk"
UNACCOUNTED: Final = "acknowledged, and neither stored nor refused"
SET_ASIDE: Final = "set aside as a dead letter: it could not be decoded or stored"
EXPIRED: Final = "past its time by the tenant's retention when it came"
ERASED: Final = "of somebody whose records were erased"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the records of a table are counted: whose signal, what makes two of them one, when they ended, who sent."""

    signal: str
    identity: tuple[str, ...]
    end: str
    source: str | None


_KINDS: Final = {
    "spans": _Kind("traces", ("tenant", "trace_id", "span_id", "is_final"), "end", "service_name"),
    "audit_events": _Kind("logs", ("tenant", "stream", "seq"), "time", None),
    "logs": _Kind("logs", ("tenant", "record_id"), "time", "service_name"),
    "metric_points": _Kind("metrics", ("tenant", "name", "series", "time"), "time", "service_name"),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """Records that were refused or set aside: how many, whose as far as known, and why.

    Attributes:
        explained: False where nobody knows what became of them; such a line does not add up, and is found by that.
    """

    tenant: str
    signal: str
    source: str
    reason: str
    received_us: int
    count: int
    explained: bool = True


class Rows(Protocol):
    """What decoding made of some records."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """Rows by table, those that records themselves gave in front."""
        ...

    @property
    def counts(self) -> Counts:
        """How many of each table's rows records themselves gave."""
        ...


class Ledger:
    """Counts stored batches. For one thread."""

    def __init__(self, recent: Recent | None = None) -> None:
        self._recent = Recent() if recent is None else recent

    def of_batch(self, decoded: Sequence[Rows], rejected: Sequence[Rejected]) -> tuple[pl.DataFrame, Hashes]:
        """Return the batch's lines, and what to `remember` once they are stored."""
        frames: list[pl.DataFrame] = []
        fresh: list[Hashes] = []
        for name, kind in _KINDS.items():
            # Rows that follow from other records stand behind those that records gave, and are none.
            parts = [each.tables[name].slice(0, getattr(each.counts, name)) for each in decoded if name in each.tables]
            if parts:
                frame, hashes = self._counted(pa.concat_tables(parts), name, kind)
                frames.append(frame)
                fresh.append(hashes)
        if rejected:
            frames.append(_of_rejected(rejected))
        hashes = np.concatenate(fresh) if fresh else np.array([], np.uint64)
        return _summed(frames), hashes

    def remember(self, hashes: Hashes) -> None:
        """Take these records as having come: an equal one that comes later is a duplicate."""
        self._recent.add(hashes)

    def _counted(self, rows: pa.Table, table: str, kind: _Kind) -> tuple[pl.DataFrame, Hashes]:
        needed = {*kind.identity, kind.end, "received_at", *((kind.source,) if kind.source else ())}
        frame = _frame(rows.select(sorted(needed)))
        # The table's name keeps a span and a log record apart that happen to share their ids.
        hashes = frame.select(pl.lit(table).alias("table"), *kind.identity).hash_rows(seed=1).to_numpy()
        again = self._recent.seen(hashes)
        source = pl.col(kind.source) if kind.source else pl.lit(own.AUDIT_SCOPE)
        lag = pl.col("received_at") - pl.col(kind.end).cast(_MICROS)
        counted = frame.select(
            "tenant",
            minute=pl.col("received_at").dt.epoch("us") // _MINUTE_US,
            signal=pl.lit(kind.signal),
            source=source.str.slice(0, MAX_SOURCE),
            reason=pl.lit(""),
            duplicated=pl.Series(again),
            late=(lag > pl.duration(seconds=LATE_SECONDS)) & ~pl.Series(again),
        )
        sums = counted.group_by(_NAMES).agg(
            received=pl.len(),
            stored=(~pl.col("duplicated")).sum(),
            late=pl.col("late").sum(),
            duplicated=pl.col("duplicated").sum(),
        )
        return sums, hashes[~again]


def of_rejected(rejected: Sequence[Rejected]) -> pl.DataFrame:
    """Return the lines of records that never came into a batch."""
    return _summed([_of_rejected(rejected)])


def row(lines: pl.DataFrame, token: str, version: int) -> pa.Table:
    """Return the lines as one row of the table ``ledger``; of the rows with one token the highest version counts."""
    minutes = lines["minute"].to_list()
    fields: dict[str, object] = {f"{name}s": lines[name].to_list() for name in _NAMES}
    fields |= {name: lines[name].to_list() for name in COUNTS}
    edges = {"first_received": min(minutes) * _MINUTE_US, "last_received": max(minutes) * _MINUTE_US}
    return pa.Table.from_pylist([{**fields, **edges, "token": token, "version": version}], schema=SCHEMAS["ledger"])


def _of_rejected(rejected: Sequence[Rejected]) -> pl.DataFrame:
    counts = [each.count for each in rejected]
    known = [each.count if each.explained else 0 for each in rejected]
    minutes = [each.received_us // _MINUTE_US for each in rejected]
    said = {name: [getattr(each, name) for each in rejected] for name in ("tenant", "signal", "source", "reason")}
    return pl.DataFrame({**said, "minute": minutes, "received": counts, "rejected": known})


def _summed(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([_NO_LINES, *map(_complete, frames)]).group_by(_NAMES).agg(pl.col(COUNTS).sum()).sort(_NAMES)


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    counts = [
        pl.col(name).cast(pl.UInt64) if name in frame.columns else pl.lit(0, pl.UInt64).alias(name) for name in COUNTS
    ]
    return frame.select(*(pl.col(name).cast(dtype) for name, dtype in _LINE.items()), *counts)


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
