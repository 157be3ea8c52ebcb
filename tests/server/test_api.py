"""The rest of the API on a real server: triage, audit, metrics, tools, alerts, health, Arrow, and how it refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.support.served import Served, problem
from tests.support.served_runs import FILLERS, ids

from spanhouse_analysis.metrics import catalogue
from spanhouse_analysis.times import rfc3339

ARROW = {"Accept": "application/vnd.apache.arrow.stream"}


@pytest.mark.parametrize(
    ("named_by", "id_"),
    [
        ("request_id", "req-refund"),
        ("run_id", ids("refund")[0]),
        ("trace_id", ids("refund")[1]),
        ("session_id", "sess-refund"),
    ],
)
def test_triage_takes_the_id_a_person_has(served: Served, named_by: str, id_: str) -> None:
    """Whatever kind it is, the same run comes with all that is needed to judge it."""
    answer = served.get(f"/api/v1/requests/{id_}")
    assert (answer["query"], answer["matched_by"]) == (id_, named_by)
    (found,) = answer["runs"]
    assert found["run"] == served.get("/api/v1/runs/req-refund")
    assert (found["asked"], found["answered"]) == ("Refund order 1842", "Done.")
    assert [call["tool"] for call in found["tool_calls"]] == ["issue_refund", "issue_refund"]
    assert all(call["args_hash"] and call["ms"] == 500.0 for call in found["tool_calls"])
    assert [event["data"]["rule"] for event in found["policy_decisions"]] == ["refunds"]
    assert [event["name"] for event in found["audit"]] == ["run.start", "policy.decision", "tool.call", "run.end"]
    assert found["budget"]["max_usd"] == {"limit": 0.01, "used": 0.008}
    assert found["first_failing_step"] is None
    assert found["link"] == f"/ui/run?run_id={ids('refund')[0]}"


def test_triage_shows_every_denial_and_the_first_failure(served: Served) -> None:
    """Refused calls are listed with their rules, though none was made."""
    (found,) = served.get("/api/v1/requests/req-denied")["runs"]
    assert [event["data"]["rule"] for event in found["policy_decisions"]] == ["no mail", "no sql", "no money"]
    assert {event["decision"] for event in found["policy_decisions"]} == {"deny"}
    assert [call["tool"] for call in found["tool_calls"]] == ["send_email", "drop_table", "pay"]
    assert found["first_failing_step"]["tool"] == "send_email"
    assert found["run"]["tool_calls"] == 0


def test_triage_of_a_session_lists_its_runs_in_order(served: Served) -> None:
    """Two runs of one request, and the same two by session."""
    by_request = served.get("/api/v1/requests/req-twice")
    by_session = served.get("/api/v1/requests/sess-twice")
    assert by_request["runs"] == by_session["runs"]
    assert [found["asked"] for found in by_request["runs"]] == ["ask 1", "ask 2"]


def test_triage_of_nothing_names_what_was_searched(served: Served) -> None:
    """404 with the four kinds of id."""
    detail = served.refused("/api/v1/requests/nothing-has-this", 404)["detail"]
    assert "nothing-has-this" in detail
    assert "request, run, trace and session ids" in detail


def test_audit_events_are_filtered_and_paged(served: Served) -> None:
    """All pages together are all events; of a run in its own order."""
    run_id, _ = ids("refund")
    events = served.pages("/api/v1/audit", "events", run_id=run_id, limit=3)
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert events[2] | {"tool": "issue_refund", "args_hash": "aa", "status": "ok", "duration_ms": 500.0} == events[2]
    assert (events[0]["stream"], events[0]["data"]) == (run_id, {"task": "Refund order 1842"})
    denials = served.get("/api/v1/audit", name="policy.decision", tenant="globex")["events"]
    assert [event["request_id"] for event in denials] == ["req-denied"] * 3
    both = served.get("/api/v1/audit", request_id="req-denied,req-refund", name=["run.end", "policy.decision"])[
        "events"
    ]
    assert len(both) == 5
    bounded = served.get("/api/v1/audit", since="2026-01-05T12:01:00Z", until="2026-01-05T12:01:02Z")["events"]
    assert [event["request_id"] for event in bounded] == ["req-denied"]
    assert "swap them" in served.refused("/api/v1/audit", 400, since="1h", until="2h")["detail"]
    served.refused("/api/v1/audit", 400, cursor="x")


def test_metric_points_carry_their_parts(served: Served) -> None:
    """A ratio comes with numerator, denominator and interval around it; a group without data is null."""
    (point,) = served.get("/api/v1/metrics", name="completion_rate", agent="filler-agent")["points"]
    assert point["metric"] == "completion_rate"
    assert point["group"] == {}
    assert (point["value"], point["numerator"], point["denominator"]) == (0.9, FILLERS * 0.9, FILLERS)
    assert point["low"] < 0.9 < point["high"]
    assert {"start", "end", "unit"} <= set(point)


def test_metrics_by_group_and_step(served: Served) -> None:
    """One point a metric, group and bucket; the buckets of a sum add up to the whole."""
    by = served.get("/api/v1/metrics", name="runs,tokens", by="agent_version", agent="filler-agent")["points"]
    assert {(p["metric"], p["group"]["agent_version"]): p["value"] for p in by if p["metric"] == "runs"} == {
        ("runs", "0.0"): FILLERS / 2,
        ("runs", "1.0"): FILLERS / 2,
    }
    steps = served.get("/api/v1/metrics", name="runs", step="10m", agent="filler-agent")["points"]
    assert sum(p["value"] for p in steps) == FILLERS
    assert all(p["start"] < p["end"] for p in steps)
    tools = served.get("/api/v1/metrics", name="tool_error_rate", by="tool")["points"]
    assert {p["group"]["tool"]: p["value"] for p in tools}["fetch_page"] == 1.0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"name": "completion_rat"}, "completion_rate"),
        ({"name": "runs", "by": "agnt"}, "agent"),
        ({}, "known are"),
        ({"name": "runs", "step": "soon"}, "length of time"),
        ({"name": "runs", "step": "0s"}, "1 s"),
        ({"name": "runs", "step": "999999999d"}, "longest"),
        ({"name": "runs", "setp": "1h"}, "did you mean 'step'"),
        ({"name": "runs", "since": "1h", "until": "2h"}, "swap them"),
    ],
    ids=str,
)
def test_a_metric_that_cannot_be_computed_is_refused(served: Served, query: dict[str, Any], said: str) -> None:
    """400 with the nearest name or the bound."""
    assert said in served.refused("/api/v1/metrics", 400, **query)["detail"]


def test_the_catalogue_is_the_one_catalogue(served: Served) -> None:
    """Each metric once, with unit, kind and meaning."""
    listed = served.get("/api/v1/metrics/catalogue")["metrics"]
    assert [metric["name"] for metric in listed] == [metric.name for metric in catalogue()]
    assert all(metric["unit"] and metric["kind"] and metric["meaning"] for metric in listed)


def test_tools_are_counted_most_called_first(served: Served) -> None:
    """Failures with their interval; a tool only ever refused has no rate."""
    tools = {row["tool"]: row for row in served.get("/api/v1/tools")["tools"]}
    assert tools["fetch_page"] | {"calls": 4, "errors": 4, "error_rate": 1.0, "runs": 1} == tools["fetch_page"]
    assert tools["send_email"] | {"calls": 0, "denials": 1, "error_rate": None, "p50_ms": None} == tools["send_email"]
    assert [row["tool"] for row in served.get("/api/v1/tools", tenant="acme")["tools"]] == ["issue_refund"]
    assert [row["calls"] for row in tools.values()] == sorted((row["calls"] for row in tools.values()), reverse=True)


def test_alerts_say_which_rules_are_in_force(served: Served) -> None:
    """The rules that ship, and no finding about them."""
    answer = served.get("/api/v1/alerts")
    assert {"rules", "alerts", "notifications", "problems", "health"} <= set(answer)
    assert answer["rules"]
    assert answer["problems"] == []
    wanted = {"id", "kind", "metric", "severities", "text", "dimensions", "annotations", "state", "firing", "pending"}
    assert wanted <= set(answer["rules"][0])


def test_health_readiness_and_own_metrics(served: Served) -> None:
    """Alive, ready with nothing waiting, and Prometheus text."""
    assert served.get("/healthz") == {"status": "ok"}
    ready = served.get("/readyz")
    assert (ready["status"], ready["pending_items"], ready["pending_traces"], ready["store_error"]) == (
        "ok",
        0,
        0,
        None,
    )
    text = served.http.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert "# HELP" in text.text


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/api/v1/runs?limit=5&agent=filler-agent", "runs"),
        ("/api/v1/runs/req-refund/spans?content=true", "spans"),
        ("/api/v1/runs/req-refund/steps", "steps"),
        ("/api/v1/audit?limit=5", "events"),
        ("/api/v1/metrics?name=runs,completion_rate&by=agent&until=2026-02-01", "points"),
        ("/api/v1/tools", "tools"),
        ("/api/v1/runs?agent=nobody", "runs"),
    ],
)
def test_lists_come_as_arrow_for_who_asks(served: Served, path: str, key: str) -> None:
    """The same rows as in JSON, times as times; objects as JSON text; the cursor in the schema's metadata."""
    answer = served.http.get(path, headers=ARROW)
    assert answer.headers["content-type"] == ARROW["Accept"]
    table = pa.ipc.open_stream(answer.content).read_all()
    rows = served.http.get(path).json()[key]
    assert table.num_rows == len(rows)
    for got, wanted in zip(table.to_pylist(), rows, strict=True):
        flat = {name: value for name, value in wanted.items() if not isinstance(value, dict | list)}
        assert {name: _plain(got[name]) for name in flat} == flat
        assert set(got) == set(wanted)
    cursor = table.schema.metadata.get(b"next_cursor") if table.schema.metadata else None
    assert cursor in {None, b"null"} or cursor.startswith(b'"')


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/api/v1/runs", 405),
        ("PUT", "/api/v1/control", 405),
        ("GET", "/api/v1/facets?x=1", 400),
    ],
)
def test_every_refusal_is_a_problem_document(served: Served, method: str, path: str, status: int) -> None:
    """Whichever route, and where there is none."""
    # What no rule knows is the operator's alone, so a stranger does not even learn that it is not there.
    answer = served.http.request(method, path, headers={"authorization": f"Bearer {served.parts.operator_token}"})
    problem(answer, status)
    if status == 405:
        assert "GET" in answer.headers["allow"]


def test_a_failure_inside_is_a_problem_document_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 names the kind of failure and no more."""

    def fails() -> dict[str, Any]:
        msg = "secret detail"
        raise RuntimeError(msg)

    monkeypatch.setattr(served.parts.alerts, "snapshot", fails)
    with httpx.Client(base_url=served.url) as http:
        document = problem(http.get("/api/v1/alerts"), 500)
    assert "RuntimeError" in document["detail"]
    assert "secret" not in document["detail"]


@pytest.mark.parametrize("name", ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "[2001:db8::1]:80"])
def test_a_name_that_is_not_this_machine_is_refused(served: Served, name: str) -> None:
    """A web page that points its own name at loopback reads nothing."""
    assert "--allow-remote" in problem(served.http.get("/api/v1/runs", headers={"Host": name}), 421)["detail"]


@pytest.mark.parametrize("name", ["localhost:1", "LOCALHOST", "[::1]:9", "127.0.0.1", "ui.localhost:80"])
def test_every_name_of_this_machine_is_answered(served: Served, name: str) -> None:
    """With any port: a tunnel may use another."""
    assert served.http.get("/healthz", headers={"Host": name}).is_success


def test_the_api_is_described(served: Served) -> None:
    """OpenAPI names every route of the contract, and the page that shows it is there."""
    described = served.get("/api/v1/openapi.json")
    routes = {
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/runs",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs/{run_id}/spans",
        "/api/v1/runs/{run_id}/spans/{span_id}",
        "/api/v1/runs/{run_id}/steps",
        "/api/v1/audit",
        "/api/v1/requests/{request_id}",
        "/api/v1/metrics",
        "/api/v1/metrics/catalogue",
        "/api/v1/tools",
        "/api/v1/facets",
        "/api/v1/alerts",
        "/api/v1/control",
    }
    assert routes <= set(described["paths"])
    assert served.http.get("/docs").is_success
