"""What one batch of stored log records tells by the mappings of today, held against what is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_collector.normalise.relogged import newest, relogged
from spanhouse_collector.prices import Prices
from spanhouse_collector.rebuild import changed
from spanhouse_collector.records import TRACES_SCHEMA
from spanhouse_storage.contract import Store
from spanhouse_storage.derived import SPAN_PLACED
from spanhouse_storage.reads import spans_from_logs

_BESIDE = ("messages", "scores", "audit_events")


@dataclass(frozen=True, slots=True)
class Mended:
    """What is to be written.

    Attributes:
        tables: rows by table; only what says something else, and what stands beside it.
        traces: the traces whose facts may be others now, as `TRACES_SCHEMA`.
        spans: spans that are new or say something else.
        left: trace and span id of those that these records belonged to and do not any more.
    """

    tables: dict[str, pa.Table]
    traces: pa.Table
    spans: int
    left: frozenset[tuple[str, str]]


def mended(store: Store, tenant: str, stored: pa.Table, now_us: int, prices: Prices) -> Mended:
    """Return what stored log records of one tenant tell now and did not before.

    Args:
        store: where the spans are that they told of.
        tenant: whose they are.
        stored: rows of ``logs``.
        now_us: becomes the time of receipt.
        prices: for calls whose cost nobody reports.
    """
    found = relogged(stored.sort_by([("received_at", "ascending"), ("version", "ascending")]), now_us, prices)
    told = newest(found["spans"]) if "spans" in found else None
    spans = _other(store, tenant, told) if told is not None else None
    moved = _moved(stored, found["logs"])
    tables = {name: found[name] for name in _BESIDE if name in found}
    if spans is not None and spans.num_rows:
        tables["spans"] = spans
    if moved.num_rows:
        tables["logs"] = moved
    touched = [spans] if spans is not None and spans.num_rows else []
    left = _places(stored) - _places(found["logs"])
    traces = _traces(tenant, touched, found.get("messages"), _at(stored, left))
    return Mended(tables, traces, sum(rows.num_rows for rows in touched), left)


def _other(store: Store, tenant: str, told: pa.Table) -> pa.Table:
    """Return the rows told that are not stored, or stored otherwise."""
    stored = spans_from_logs(store, tenant, set(told["trace_id"].to_pylist()))
    places = {key: number for number, key in enumerate(_keys(stored))}
    numbers = [places.get(key) for key in _keys(told)]
    known = pa.array([number is not None for number in numbers])
    before = stored.take(pa.array([number for number in numbers if number is not None], pa.int64()))
    after = told.filter(known)
    # The hash was made of the arguments before secrets were cut out of them; where they are the same, so is it.
    same = pc.and_(pc.equal(after["input"], before["input"]), pc.not_equal(before["args_hash"], ""))
    at = after.column_names.index("args_hash")
    hashes = pc.if_else(same, before["args_hash"], after["args_hash"])
    after = after.set_column(at, after.schema.field("args_hash"), hashes)
    return pa.concat_tables([changed(before, after), told.filter(pc.invert(known))])


def _moved(stored: pa.Table, logs: pa.Table) -> pa.Table:
    """Return the log rows that now belong elsewhere: to another session, trace or span."""
    before = pl.DataFrame(stored.select(["time", "record_id", *_PLACES]))
    after = pl.DataFrame(logs.select(["time", "record_id", *_PLACES])).with_row_index("row")
    joined = after.join(before, on=["time", "record_id"], suffix="_before")
    other = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_before") for name in _PLACES)
    return logs.take(pa.array(joined.filter(other)["row"].to_numpy().astype(np.int64)))


_PLACES = ("trace_id", "span_id", "session_id", "user_id", "request_id")


def _places(logs: pa.Table) -> frozenset[tuple[str, str]]:
    worked_out = pc.not_equal(pc.bit_wise_and(logs["flags"], pa.scalar(SPAN_PLACED, pa.uint32())), 0)
    return frozenset(_keys(logs.filter(worked_out)))


def _at(logs: pa.Table, places: frozenset[tuple[str, str]]) -> pa.Table:
    return logs.filter(pa.array([key in places for key in _keys(logs)], pa.bool_()))


def _keys(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["trace_id"].to_pylist(), rows["span_id"].to_pylist(), strict=True))


def _traces(tenant: str, spans: list[pa.Table], messages: pa.Table | None, left: pa.Table) -> pa.Table:
    parts = [(rows["trace_id"], rows["start"]) for rows in spans]
    parts += [(rows["trace_id"], rows["time"]) for rows in (messages, left) if rows is not None and rows.num_rows]
    frames = [pl.DataFrame({"trace_id": pl.Series(ids), "start": pl.Series(starts)}) for ids, starts in parts]
    if not frames:
        return TRACES_SCHEMA.empty_table()
    grouped = (
        pl.concat(frames, how="vertical_relaxed")
        .group_by("trace_id")
        .agg(first_start=pl.col("start").min(), last_start=pl.col("start").max())
    )
    rows = grouped.with_columns(tenant=pl.lit(tenant), rooted=pl.lit(value=True)).select(TRACES_SCHEMA.names)
    return rows.to_arrow().cast(TRACES_SCHEMA)
