"""Reads the rows that metrics are computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import polars as pl

from spanhouse_analysis import frames
from spanhouse_analysis.metrics.query import TOOL
from spanhouse_storage import Store, sql
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.filters import values_of, where
from spanhouse_storage.reads.times import nanos

_PACKAGE: Final = "spanhouse_analysis"
_LAST: Final = (1 << 63) - 1
_OF_RUN: Final = {"model": "run_model", "type": "run_type"}


def ended_runs(store: Store, wanted: RunFilter, columns: Iterable[str], *, lone_calls: bool = False) -> pl.DataFrame:
    """Return the runs that ended in the filter's window, with these columns of ``runs`` and ``ended_ns``."""
    condition, parameters = where(wanted, time="ended_at", lone_calls=lone_calls)
    started, bounds = _started(store, wanted)
    chosen = ["toUnixTimestamp64Nano(assumeNotNull(ended_at)) AS ended_ns", *dict.fromkeys(columns)]
    statement = sql.compose(_PACKAGE, "metric_runs", columns=", ".join(chosen), where=condition, started=started)
    return frames.from_table(store.query(statement, {**parameters, **bounds}))


def tool_calls(store: Store, wanted: RunFilter, columns: Iterable[str], *, lone_calls: bool = False) -> pl.DataFrame:
    """Return the tool calls requested by those runs, with these columns of ``steps`` and ``ended_ns``.

    ``model`` and ``type`` stand for the run's. A filter on tools leaves only calls of those.
    """
    condition, parameters = where(wanted, time="ended_at", lone_calls=lone_calls)
    started, bounds = _started(store, wanted)
    tools, given = "1", values_of(wanted.tool)
    if given:
        tools, parameters["wanted_tools"] = f"{TOOL} IN {{wanted_tools:Array(String)}}", given
    if started != "1":
        tools += f" AND {started.replace('started_at', 'run_started_at')}"
    named = (f"{_OF_RUN[column]} AS {column}" if column in _OF_RUN else column for column in dict.fromkeys(columns))
    chosen = ["toUnixTimestamp64Nano(assumeNotNull(run_ended_at)) AS ended_ns", *named]
    statement = sql.compose(
        _PACKAGE, "metric_calls", columns=", ".join(chosen), where=condition, started=started, tools=tools
    )
    return frames.from_table(store.query(statement, {**parameters, **bounds}))


def active_runs(store: Store, wanted: RunFilter, columns: Iterable[str]) -> pl.DataFrame:
    """Return the runs that are going on, whatever the window, with these columns of ``runs``."""
    condition, parameters = where(replace(wanted, since=None, until=None))
    chosen = ", ".join(dict.fromkeys(columns)) or "run_id"
    statement = sql.compose(_PACKAGE, "active_runs", columns=chosen, where=condition)
    return frames.from_table(store.query(statement, parameters))


def _started(store: Store, wanted: RunFilter) -> tuple[str, dict[str, Any]]:
    """Bound the runs' starts, which decide the partitions, without leaving out a run that ended in the window."""
    conditions, parameters = ["1"], {}
    if wanted.since is not None:
        until = nanos(wanted.until) if wanted.until is not None else _LAST
        earliest = store.query(sql.load(_PACKAGE, "earliest_start"), {"since": nanos(wanted.since), "until": until})
        conditions.append("started_at >= fromUnixTimestamp64Nano({started_from:Int64}, 'UTC')")
        parameters["started_from"] = int(earliest["started"][0].as_py() or 0)
    if wanted.until is not None:
        conditions.append("started_at < fromUnixTimestamp64Nano({started_to:Int64}, 'UTC')")
        parameters["started_to"] = nanos(wanted.until)
    return " AND ".join(conditions[1:]) or "1", parameters
