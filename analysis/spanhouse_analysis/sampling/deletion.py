"""Deletes the spans of traces that were sampled out, and moves them in the ledger, exactly once.

A batch is chosen and written down; its records are counted and the ledger is told, under a token of the batch; that is
written down; only then the rows go. A process killed in between takes the batch up where it was: what was told once is
told by the same token, and what was counted is not counted again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
import pyarrow as pa
from sqlalchemy import Engine

from spanhouse_analysis import frames
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.sampling import records
from spanhouse_analysis.sampling.decisions import GONE, Record
from spanhouse_storage import Store, sql
from spanhouse_storage.derived import FROM_LOG
from spanhouse_storage.reads.times import micros
from spanhouse_storage.state import get_watermark, set_watermark
from spanhouse_storage.tables import SCHEMAS

log = logging.getLogger(__name__)

STATE: Final = "sampling.batch"
_PACKAGE: Final = "spanhouse_analysis"
_MINUTE_US: Final = 60_000_000
_EARLIER: Final = timedelta(days=1)
_LINE: Final = ("tenant", "minute", "signal", "source")


@dataclass(frozen=True, slots=True)
class _Counted:
    """How the rows of a table stand for records: whose signal, by what they are one, when they ended, which count."""

    signal: str
    identity: str
    end: str
    counted: str


_TABLES: Final = {
    "spans": _Counted("traces", "cityHash64('spans', span_id, is_final)", "end", f"bitAnd(flags, {FROM_LOG}) = 0"),
    "logs": _Counted("logs", "cityHash64('logs', record_id)", "time", "1"),
}
_DELETED: Final = ("spans", "logs", "messages")


@dataclass(frozen=True, slots=True)
class Batch:
    """Traces that are deleted together: what was decided about each, and up to which time of receipt."""

    traces: Mapping[Trace, Record]
    until: datetime
    told: bool = False

    @property
    def token(self) -> str:
        """What the batch is known by."""
        said = json.dumps([sorted(self.traces), micros(self.until)])
        return f"sampled-{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    def text(self) -> str:
        """Return the batch as it is written down."""
        traces = [[*trace, r.state, r.runs, r.spans, micros(r.first_start)] for trace, r in sorted(self.traces.items())]
        return json.dumps({"traces": traces, "until": micros(self.until), "told": self.told})


def read(text: str) -> Batch:
    """Return a batch that was written down."""
    said = json.loads(text)
    traces = {
        (tenant, trace): Record(state, tuple(runs), spans, _time(first))
        for tenant, trace, state, runs, spans, first in said["traces"]
    }
    return Batch(traces, _time(said["until"]), said["told"])


def left(state: Engine) -> Batch | None:
    """Return the batch that was begun and not ended, None where there is none."""
    text = get_watermark(state, STATE)
    return read(text) if text else None


def perform(store: Store, state: Engine, batch: Batch, version: int) -> None:
    """Delete the batch's traces, from wherever it stands.

    Args:
        store: where the rows are.
        state: keeps the batch until it is done.
        batch: as chosen, or as `left` gave it.
        version: of the records that say the traces are gone; above those of the decisions.
    """
    if not batch.told:
        set_watermark(state, STATE, batch.text())
        _tell(store, batch, version)
        batch = replace(batch, told=True)
        set_watermark(state, STATE, batch.text())
    for table in _DELETED:
        store.execute(sql.compose(_PACKAGE, "sampled_delete", table=table), _where(batch))
    set_watermark(state, STATE, "")


def is_idle(store: Store) -> bool:
    """Return whether the engine has done the deletions it was given."""
    [row] = store.query(sql.load(_PACKAGE, "sampled_deleting")).to_pylist()
    if row["reason"]:
        log.warning("spans of sampled traces cannot be deleted: %s", row["reason"])
    return not row["open"]


def _tell(store: Store, batch: Batch, version: int) -> None:
    """Move the batch's records from stored to sampled out in the ledger, and note the traces as gone."""
    before = records.moved(store, [trace for trace, record in batch.traces.items() if record.spans])
    known = pl.DataFrame(
        [(*trace, hashed) for trace, hashes in before.items() for hashed in hashes],
        schema={"tenant": pl.String, "trace_id": pl.String, "hash": pl.UInt64},
        orient="row",
    )
    parts = []
    for table, kind in _TABLES.items():
        statement = sql.compose(
            _PACKAGE, "sampled_records", table=table, identity=kind.identity, end=kind.end, counted=kind.counted
        )
        found = frames.from_table(store.query(statement, _where(batch)))
        parts.append(found.with_columns(signal=pl.lit(kind.signal), late=pl.col("late").cast(pl.Int64)))
    rows = pl.concat(parts).join(known, on=["tenant", "trace_id", "hash"], how="anti")
    if rows.height:
        lines = rows.group_by(_LINE).agg(count=pl.len().cast(pl.Int64), late=pl.col("late").sum()).sort(_LINE)
        store.insert("ledger", _ledger_row(lines, batch.token, version), batch.token)
    counted = rows.group_by("tenant", "trace_id").agg("hash", spans=(pl.col("signal") == "traces").sum())
    new = {(tenant, trace): (hashes, spans) for tenant, trace, hashes, spans in counted.iter_rows()}
    gone = {
        trace: replace(record, state=GONE, spans=record.spans + new.get(trace, ([], 0))[1])
        for trace, record in batch.traces.items()
    }
    hashes = {trace: [*before.get(trace, []), *new.get(trace, ([], 0))[0]] for trace in gone}
    records.write(store, gone, batch.until, version, hashes)


def _ledger_row(lines: pl.DataFrame, token: str, version: int) -> pa.Table:
    """Return lines that receive nothing and move what is stored to what is sampled out."""
    minutes = lines["minute"].to_list()
    none = [0] * lines.height
    row: dict[str, Any] = {
        "first_received": min(minutes) * _MINUTE_US,
        "last_received": max(minutes) * _MINUTE_US,
        "token": token,
        "version": version,
        **{f"{name}s": lines[name].to_list() for name in _LINE},
        "reasons": [""] * lines.height,
        **dict.fromkeys(("received", "rejected", "duplicated"), none),
        "stored": (-lines["count"]).to_list(),
        "sampled_out": lines["count"].to_list(),
        "late": (-lines["late"]).to_list(),
    }
    return pa.Table.from_pylist([row], schema=SCHEMAS["ledger"])


def _where(batch: Batch) -> dict[str, Any]:
    since = min(record.first_start for record in batch.traces.values()) - _EARLIER
    return {"traces": sorted(batch.traces), "until": micros(batch.until), "since": max(micros(since) // 1_000_000, 0)}


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
