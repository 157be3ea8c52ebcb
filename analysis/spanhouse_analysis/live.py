"""One run as it stands this moment: its published row where it ended, else computed from its spans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from spanhouse_analysis import frames, rows
from spanhouse_analysis.facts import LEASE_SECONDS, Facts
from spanhouse_analysis.identity import assign_runs
from spanhouse_analysis.logged import settled
from spanhouse_analysis.reading import Trace, facts_of_traces
from spanhouse_analysis.steps import USAGE
from spanhouse_storage import Store
from spanhouse_storage.derived import FROM_LOG
from spanhouse_storage.reads import (
    find_traces,
    run_by_id,
    runs_by_request,
    runs_by_trace,
    spans_of_traces,
    steps_of_run,
    with_audit_counts,
)

_IDENTITY: Final = (*frames.IDENTITY, "parent_span_id", "span_class", "run_hint", "start", "flags", "response_id")
_MARGIN: Final = timedelta(hours=1)


def run(
    store: Store, run_id: str, *, now: datetime | None = None, lease_seconds: float = LEASE_SECONDS
) -> rows.Json | None:
    """Return the run's JSON, None where there is no such run.

    A run that became part of another is followed to it, and a request id that names a single run to that run. A run
    without an end is computed from its spans, so that what arrived a moment ago is in it.
    """
    now = now or datetime.now(UTC)
    stored = rows.runs(run_by_id(store, run_id))
    if not stored and len(by_request := rows.runs(runs_by_request(store, run_id, limit=2))) == 1:
        stored = by_request
    if stored and stored[0]["status"] == "ended":
        return stored[0]
    if stored:
        since = datetime.fromisoformat(stored[0]["started_at"]) - _MARGIN
        traces, since_or_none = [(stored[0]["tenant"], stored[0]["trace_id"])], since
        wanted = stored[0]["run_id"]
    else:
        traces, since_or_none, wanted = _unpublished(store, run_id), None, run_id
    found = runs_of_traces(store, traces, now, lease_seconds, since_or_none)
    named = [row for row in found if row["run_id"] == wanted]
    asked = [row for row in found if row["request_id"] == wanted]
    return next(iter(named or (asked if len(asked) == 1 else stored)), None)


def runs_of_traces(
    store: Store, traces: Sequence[Trace], now: datetime, lease_seconds: float, since: datetime | None = None
) -> list[rows.Json]:
    """Return the runs of the traces in order of start, computed from the spans that are stored now."""
    if not traces:
        return []
    found = facts_of_traces(store, traces, now, lease_seconds=lease_seconds, since=since)
    table = frames.to_table(found.runs.sort("started_at", "run_id"), "runs")
    return rows.runs(with_audit_counts(store, table))


def span_ids(store: Store, tenant: str, trace_id: str, run_id: str) -> list[str]:
    """Return the ids of the run's spans: of its trace, those the run rule gives to it."""
    return span_and_response_ids(store, tenant, trace_id, run_id)[0]


def span_and_response_ids(store: Store, tenant: str, trace_id: str, run_id: str) -> tuple[list[str], list[str]]:
    """Return the ids of the run's spans and those of the answers that models gave in them."""
    found = frames.from_table(spans_of_traces(store, [(tenant, trace_id)], columns=_IDENTITY)).sort("start", "span_id")
    if ((found["flags"].cast(pl.Int64) & FROM_LOG) != 0).any():
        whole = spans_of_traces(store, [(tenant, trace_id)], columns=frames.FACT_COLUMNS)
        found = settled(frames.prepare(frames.from_table(whole)))
    mine = assign_runs(found).filter(pl.col("run_id") == run_id)
    return mine["span_id"].to_list(), mine.filter(pl.col("response_id") != "")["response_id"].to_list()


def steps(store: Store, of_run: rows.Json) -> list[rows.Json]:
    """Return the steps of a run given by its JSON, in order; computed from spans while the run has no end."""
    if of_run["status"] == "ended":
        stored = rows.steps(steps_of_run(store, of_run["tenant"], of_run["run_id"]))
        if stored:
            return stored
    found = facts_of_trace(store, of_run)
    mine = found.steps.filter((pl.col("run_id") == of_run["run_id"]) & (pl.col("kind") != USAGE)).sort("seq")
    return rows.steps(frames.to_table(mine, "steps"))


def facts_of_trace(store: Store, of_run: dict[str, Any]) -> Facts:
    """Return the facts of a run's trace, computed from the spans that are stored now."""
    since = datetime.fromisoformat(of_run["started_at"]) - _MARGIN
    return facts_of_traces(store, [(of_run["tenant"], of_run["trace_id"])], datetime.now(UTC), since=since)


def _unpublished(store: Store, wanted_id: str) -> list[Trace]:
    """Return the traces whose spans carry the id but of which no run is published."""
    found = find_traces(store, wanted_id, ("run_id", "request_id"), limit=20).to_pylist()
    return [
        (row["tenant"], row["trace_id"])
        for row in found
        if row["matched_by"] == "run_id" or not runs_by_trace(store, row["trace_id"], tenant=row["tenant"]).num_rows
    ]
