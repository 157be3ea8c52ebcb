"""The HTTP API of docs/architecture.md over the sample: what the pages' tests read from instead of a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from tests.support import sample_alerts, sample_evaluated, sample_system, sample_traces
from tests.support.filter_rows import Row, holds
from tests.support.sample_runs import Json, Sample, stamp

from spanhouse.filters import SIMPLE_FLAGS, parse, resolved

UNITS = {"m": 60, "h": 3600, "d": 86_400}
EQUAL = (
    "tenant",
    "environment",
    "agent",
    "agent_version",
    "model",
    "status",
    "outcome",
    "task_type",
    "variant",
    "session_id",
    "user_id",
    "request_id",
)
RATIOS: dict[str, tuple[Callable[[Json], float], Callable[[Json], float]]] = {
    "completion_rate": (lambda run: run["outcome"] == "success", lambda _: 1),
    "autonomous_completion_rate": (lambda run: run["outcome"] == "success" and not run["escalated"], lambda _: 1),
    "tool_error_rate": (lambda run: run["tool_errors"], lambda run: run["tool_calls"]),
    "loop_rate": (lambda run: run["loops"] > 0, lambda _: 1),
    "policy_deny_rate": (lambda run: run["policy_denials"], lambda run: run["tool_requests"]),
    "stop_reason_share": (lambda _: 1, lambda _: 1),
}
QUANTILES = {"tokens_per_run_p50": 0.5, "tokens_per_run_p95": 0.95, "run_seconds_p95": 0.95}


def create_app(now: datetime | None = None) -> FastAPI:
    """Return the API over a sample built at `now` (default: the moment of the call); `app.state.sample` holds it."""
    app = FastAPI()
    sample = sample_traces.build(now or datetime.now(UTC))
    app.state.sample = sample
    app.state.empty = False
    _add_reads(app, sample)
    _add_sessions(app, sample)
    _add_figures(app, sample)
    sample_evaluated.add(app, sample)
    sample_system.add(app, sample.now)
    return app


def _add_reads(app: FastAPI, sample: Sample) -> None:
    @app.get("/api/v1/runs")
    def runs(request: Request) -> Json:
        query = dict(request.query_params)
        found = [] if app.state.empty else _filtered(sample, query)
        key = query.get("sort", "-started_at").removeprefix("-")
        found.sort(key=lambda run: (_sorted_by(run, key) is not None, _sorted_by(run, key) or 0), reverse=True)
        begin, limit = int(query.get("cursor") or 0), int(query.get("limit") or 50)
        more = begin + limit < len(found)
        return {"runs": found[begin : begin + limit], "next_cursor": str(begin + limit) if more else None}

    @app.get("/api/v1/runs/{run_id}")
    def run(run_id: str) -> Any:
        found = next((run for run in sample.runs if run["run_id"] == run_id), None)
        return found or _problem(404, "Not found", f"no run {run_id!r}; searched run ids")

    @app.get("/api/v1/runs/{run_id}/spans")
    def spans(run_id: str, limit: int = 1000, cursor: int = 0) -> Json:
        found = sorted(sample.spans[run_id], key=lambda span: span["start"])
        more = cursor + limit < len(found)
        return {"spans": found[cursor : cursor + limit], "next_cursor": str(cursor + limit) if more else None}

    @app.get("/api/v1/runs/{run_id}/spans/{span_id}")
    def span(run_id: str, span_id: str) -> Any:
        owner = next(run for run in sample.runs if run["run_id"] == run_id)
        found = next((span for span in sample.spans[run_id] if span["span_id"] == span_id), None)
        return (
            sample_traces.content(sample, owner, found) if found else _problem(404, "Not found", f"no span {span_id!r}")
        )

    @app.get("/api/v1/audit")
    def audit(run_id: str = "") -> Json:
        return {"events": sample.audit.get(run_id, []), "next_cursor": None}

    @app.get("/api/v1/runs/{run_id}/steps")
    def steps(run_id: str) -> Json:
        return {"steps": sample.steps[run_id]}

    @app.get("/api/v1/requests/{query}")
    def triage(query: str) -> Any:
        for kind in ("request_id", "run_id", "trace_id", "session_id"):
            found = [run for run in sample.runs if run[kind] == query]
            if found:
                return {"query": query, "matched_by": kind, "runs": [_triaged(sample, run) for run in found]}
        return _problem(404, "Not found", f"nothing has the id {query!r}; searched request, run, trace and session ids")


def _add_sessions(app: FastAPI, sample: Sample) -> None:
    @app.get("/api/v1/sessions")
    def sessions(request: Request) -> Json:
        found = [] if app.state.empty else _filtered(sample, dict(request.query_params))
        ids = sorted({run["session_id"] for run in found if run["session_id"]})
        return {"sessions": [_session(found, id_) for id_ in ids], "next_cursor": None}

    @app.get("/api/v1/sessions/{session_id}")
    def session(session_id: str) -> Any:
        mine = sorted(
            (run for run in sample.runs if run["session_id"] == session_id), key=lambda run: str(run["started_at"])
        )
        if not mine:
            return _problem(404, "No such session", f"no run names the session {session_id!r}")
        turns = [_triaged(sample, run) for run in mine]
        return {"session": _session(sample.runs, session_id), "turns": turns, "truncated": False}


def _session(runs: Sequence[Json], session_id: str) -> Json:
    mine = sorted((run for run in runs if run["session_id"] == session_id), key=lambda run: str(run["started_at"]))
    last = mine[-1]
    return {
        "session_id": session_id,
        "tenant": last["tenant"],
        "runs": len(mine),
        "running": sum(run["status"] == "running" for run in mine),
        "completed": sum(run["outcome"] == "success" for run in mine),
        "users": sorted({run["user_id"] for run in mine}),
        "agents": sorted({run["agent"] for run in mine}),
        "first_at": mine[0]["started_at"],
        "last_at": last["started_at"],
        "input_tokens": sum(run["input_tokens"] for run in mine),
        "output_tokens": sum(run["output_tokens"] for run in mine),
        "cost_usd": sum(run["cost_usd"] for run in mine),
        "last_run_id": last["run_id"],
        "last_status": last["status"],
        "last_stop_reason": last["stop_reason"],
    }


def _triaged(sample: Sample, run: Json) -> Json:
    steps, audit = sample.steps[run["run_id"]], sample.audit[run["run_id"]]
    return {
        "run": run,
        "asked": run["input_preview"],
        "answered": run["output_preview"],
        "tool_calls": [step for step in steps if step["kind"] == "tool"],
        "policy_decisions": [event for event in audit if event["name"] in {"policy.decision", "approval.denied"}],
        "audit": audit,
        "first_failing_step": next((step for step in steps if step["status"] == "error"), None),
        "budget": run["budget"],
        "link": f"/ui/run?run_id={run['run_id']}",
    }


def _add_figures(app: FastAPI, sample: Sample) -> None:
    @app.get("/api/v1/metrics")
    def metrics(request: Request) -> Json:
        query = dict(request.query_params)
        names = [name for value in request.query_params.getlist("name") for name in value.split(",")]
        runs = [] if app.state.empty else _filtered(sample, query)
        return {"points": [point for name in names for point in _points(sample, name, runs, query)]}

    @app.get("/api/v1/tools")
    def tools(request: Request) -> Json:
        runs = [] if app.state.empty else _filtered(sample, dict(request.query_params))
        calls = [(run, step) for run in runs for step in sample.steps[run["run_id"]] if step["kind"] == "tool"]
        return {"tools": [_tool(name, calls) for name in sorted({step["tool"] for _, step in calls})]}

    @app.get("/api/v1/models")
    def models(request: Request) -> Json:
        runs = [] if app.state.empty else _filtered(sample, dict(request.query_params))
        return {"models": [_model(name, runs) for name in sorted({run["model"] for run in runs if run["model"]})]}

    @app.get("/api/v1/facets")
    def facets() -> Json:
        def of(key: str) -> list[str]:
            return sorted({run[key] for run in sample.runs if run[key]})

        codes = sorted({run["stop_reason"].partition(":")[0] for run in sample.runs if run["stop_reason"]})
        named = {key: of(key) for key in ("tenant", "environment", "agent", "model", "task_type", "variant")}
        return {
            **named,
            "stop_code": codes,
            "tool": ["issue_refund", "lookup_order", "run_sql", "search_web", "send_email"],
        }

    @app.get("/api/v1/alerts")
    def alerts() -> Json:
        return {"rules": [], "alerts": [], "notifications": []} if app.state.empty else sample_alerts.build(sample.now)

    @app.get("/healthz")
    def health() -> Json:
        return {"status": "ok"}


def _sorted_by(run: Json, key: str) -> Any:
    return run["input_tokens"] if key == "tokens" else run[key]


def _tool(name: str, calls: Sequence[tuple[Json, Json]]) -> Json:
    mine = [(run, step) for run, step in calls if step["tool"] == name]
    errors = sum(step["status"] == "error" for _, step in mine)
    low, high = _wilson(errors, len(mine))
    times = [step["ms"] for _, step in mine]
    return {
        "tool": name,
        "calls": len(mine),
        "errors": errors,
        "error_rate": errors / len(mine),
        "low": low,
        "high": high,
        "denials": sum(run["policy_denials"] for run, _ in mine),
        "p50_ms": _quantile(times, 0.5),
        "p95_ms": _quantile(times, 0.95),
        "runs": len({run["run_id"] for run, _ in mine}),
    }


def _model(name: str, runs: Sequence[Json]) -> Json:
    mine = [run for run in runs if run["model"] == name]
    priced = [run for run in mine if run["cost_usd"] is not None and name not in run["unpriced_models"]]
    unpriced = sum(run["model_calls"] for run in mine) - sum(run["model_calls"] for run in priced)
    return {
        "model": name,
        "calls": sum(run["model_calls"] for run in mine),
        "errors": sum(run["model_errors"] for run in mine),
        "input_tokens": sum(run["input_tokens"] or 0 for run in mine),
        "output_tokens": sum(run["output_tokens"] or 0 for run in mine),
        "cost_usd": sum(run["cost_usd"] for run in priced) if priced else None,
        "unpriced_calls": unpriced,
        "priced": not unpriced,
        "runs": len(mine),
        "sampled": False,
    }


def _filtered(sample: Sample, query: Json) -> list[Json]:
    out = list(sample.runs)
    for name in EQUAL:
        if query.get(name):
            wanted = query[name].removeprefix('"').removesuffix('"')
            out = [run for run in out if run[name] == wanted]
    for name in SIMPLE_FLAGS:
        if query.get(name):
            out = [run for run in out if run.get(name) == (query[name] == "true")]
    if reason := query.get("stop_reason"):
        out = [
            run
            for run in out
            if run["stop_reason"] and reason in {run["stop_reason"], run["stop_reason"].partition(":")[0]}
        ]
    if tool := query.get("tool"):
        out = [run for run in out if any(step["tool"] == tool for step in sample.steps[run["run_id"]])]
    if words := query.get("text"):
        out = [run for run in out if words.lower() in f"{run['input_preview']} {run['output_preview']}".lower()]
    if text := query.get("filter"):
        node = resolved(parse(text), sample.now)
        out = [run for run in out if holds(node, Row(run, steps=sample.steps[run["run_id"]]))]
    if since := _at(sample.now, query.get("since")):
        out = [run for run in out if run["started_at"] >= stamp(since)]
    return out


def _at(now: datetime, value: str | None) -> datetime | None:
    if not value:
        return None
    return (
        now - timedelta(seconds=int(value[:-1]) * UNITS[value[-1]])
        if value[-1] in UNITS
        else datetime.fromisoformat(value)
    )


def _points(sample: Sample, name: str, runs: Sequence[Json], query: Json) -> Iterable[Json]:
    since = _at(sample.now, query.get("since")) or sample.now - timedelta(days=8)
    step = query.get("step")
    width = timedelta(seconds=int(step[:-1]) * UNITS[step[-1]]) if step else sample.now - since
    by = [part for part in (query.get("by") or "").split(",") if part]
    # Shares are always told apart by stop reason, whatever else they are grouped by.
    by += ["stop_code", "stop_subject"] if name == "stop_reason_share" else []
    groups = sorted({tuple(_key(run, part) for part in by) for run in runs}, key=str) if by else [()]
    begin = since
    while begin < sample.now:
        end = begin + width
        for group in groups:
            inside = [
                run
                for run in runs
                if stamp(begin) <= run["started_at"] < stamp(end) and tuple(_key(run, part) for part in by) == group
            ]
            if not step or not by or inside:
                whole = [run for run in runs if stamp(begin) <= run["started_at"] < stamp(end)]
                yield {
                    "metric": name,
                    "group": dict(zip(by, group, strict=True)),
                    "start": stamp(begin),
                    "end": stamp(end),
                    **_value(name, inside, whole),
                }
        begin = end


def _key(run: Json, part: str) -> str | None:
    code, _, subject = (run["stop_reason"] or "running").partition(":")
    if part.startswith("stop_"):
        return code if part == "stop_code" else subject
    value: str | None = run[part]
    return value


def _value(name: str, all_runs: Sequence[Json], whole: Sequence[Json]) -> Json:
    runs = [run for run in all_runs if run["status"] == "ended"]
    if name in RATIOS:
        above, below = RATIOS[name]
        numerator = sum(above(run) for run in runs)
        denominator = sum(below(run) for run in (whole if name == "stop_reason_share" else runs))
        low, high = _wilson(numerator, denominator)
        return {
            "value": numerator / denominator if denominator else None,
            "numerator": numerator,
            "denominator": denominator,
            "low": low,
            "high": high,
            "unit": "1",
        }
    if name in QUANTILES:
        field = "run_seconds" if name.startswith("run_seconds") else "input_tokens"
        values = [run[field] for run in runs if run[field] is not None]
        return {
            "value": _quantile(values, QUANTILES[name]),
            "numerator": None,
            "denominator": len(values),
            "low": None,
            "high": None,
            "unit": "s" if field == "run_seconds" else "tokens",
        }
    if name == "cost":
        known = [run["cost_usd"] for run in runs if run["cost_usd"] is not None]
        return {
            "value": sum(known) if known else None,
            "numerator": sum(known),
            "denominator": len(known),
            "low": None,
            "high": None,
            "unit": "usd",
        }
    active = sum(run["status"] == "running" for run in all_runs)
    return {"value": active, "numerator": active, "denominator": None, "low": None, "high": None, "unit": "runs"}


def _quantile(values: Sequence[float], q: float) -> float | None:
    if not values:
        return None
    ordered, place = sorted(values), q * (len(values) - 1)
    below = math.floor(place)
    return ordered[below] + (ordered[math.ceil(place)] - ordered[below]) * (place - below)


def _wilson(hits: float, total: float, z: float = 1.96) -> tuple[float | None, float | None]:
    if not total:
        return None, None
    share, square = hits / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
