"""What happened to this request: everything needed to judge its runs, from whatever id a person has in hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from spanhouse_analysis import live, rows
from spanhouse_analysis.facts import LEASE_SECONDS
from spanhouse_analysis.reading import Trace
from spanhouse_storage import Store
from spanhouse_storage.reads import (
    AuditFilter,
    audit_events,
    find_traces,
    run_by_id,
    runs_by_request,
    runs_by_session,
    runs_by_trace,
    steps_of_runs,
)

MAX_RUNS: Final = 100
MAX_AUDIT_EVENTS: Final = 1_000


def triage(
    store: Store, id_: str, *, now: datetime | None = None, lease_seconds: float = LEASE_SECONDS
) -> dict[str, Any] | None:
    """Return the API's ``Triage`` for a request, run, trace or session id, None where nothing has that id.

    The kinds are tried in that order and the first that matches is the answer. Runs without an end, and traces so new
    that nothing of them is published, are computed from their spans.
    """
    if not id_:
        return None
    now = now or datetime.now(UTC)
    for kind in ("request_id", "run_id", "trace_id", "session_id"):
        runs = _runs(store, kind, id_, now, lease_seconds)
        if runs:
            return {"query": id_, "matched_by": kind, "runs": _judged(store, runs)}
    return None


def _runs(store: Store, kind: str, id_: str, now: datetime, lease_seconds: float) -> list[rows.Json]:
    if kind == "request_id":
        stored = rows.runs(runs_by_request(store, id_, limit=MAX_RUNS))
    elif kind == "run_id":
        stored = rows.runs(run_by_id(store, id_))
    elif kind == "trace_id":
        stored = rows.runs(runs_by_trace(store, id_, limit=MAX_RUNS))
    else:
        stored = rows.runs(runs_by_session(store, id_, limit=MAX_RUNS))
    published = {(run["tenant"], run["trace_id"]) for run in stored}
    running: list[Trace] = [(run["tenant"], run["trace_id"]) for run in stored if run["status"] != "ended"]
    if not stored or kind != "run_id":
        carrying = find_traces(store, id_, (kind,), limit=MAX_RUNS).select(["tenant", "trace_id"]).to_pylist()
        traces = [(row["tenant"], row["trace_id"]) for row in carrying]
        running += [trace for trace in traces if trace not in published]
    fresh = live.runs_of_traces(store, list(dict.fromkeys(running)), now, lease_seconds)
    wanted = {run["run_id"] for run in stored}
    alive = [run for run in fresh if run[kind] == id_ or run["run_id"] in wanted]
    ended = [run for run in stored if run["run_id"] not in {run["run_id"] for run in alive}]
    return sorted([*ended, *alive], key=lambda run: (run["started_at"], run["run_id"]))[:MAX_RUNS]


def _judged(store: Store, runs: Sequence[rows.Json]) -> list[dict[str, Any]]:
    ended = [(run["tenant"], run["run_id"]) for run in runs if run["status"] == "ended"]
    stored = steps_of_runs(store, ended)
    steps: dict[str, list[rows.Json]] = {}
    for run_id, step in zip(stored["run_id"].to_pylist(), rows.steps(stored), strict=True):
        steps.setdefault(run_id, []).append(step)
    wanted = AuditFilter(run_id=[run["run_id"] for run in runs])
    audit: dict[str, list[rows.Json]] = {}
    for event in rows.audit_events(audit_events(store, wanted, limit=MAX_AUDIT_EVENTS).rows):
        audit.setdefault(event["run_id"], []).append(event)
    return [
        _entry(run, steps.get(run["run_id"]) or live.steps(store, run), audit.get(run["run_id"], [])) for run in runs
    ]


def _entry(run: rows.Json, steps: list[rows.Json], audit: list[rows.Json]) -> dict[str, Any]:
    failing = (step for step in steps if step["status"] in {"error", "denied"})
    return {
        "run": run,
        "asked": run["input_preview"],
        "answered": run["output_preview"],
        "tool_calls": [step for step in steps if step["kind"] == "tool"],
        "policy_decisions": [event for event in audit if event["name"] == "policy.decision"],
        "audit": audit,
        "first_failing_step": next(failing, None),
        "budget": run["budget"],
        "link": f"/ui/run?run_id={quote(run['run_id'], safe='')}",
    }
