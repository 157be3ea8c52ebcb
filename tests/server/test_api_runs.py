"""``/api/v1/runs`` on a real server: the contract's fields, filters, orders, pages, spans and steps."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.served import Served
from tests.support.served_runs import FILLERS, HOSTILE_ID, ids

CONTRACT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
AGENT_RUNS = 8 + FILLERS
"""All runs but the lone model call."""


def fields(kind: str) -> set[str]:
    """Return the fields that the contract lists for a kind of object."""
    listed = re.search(rf"^`{kind}`: (.*?)(?=^`[A-Z]|\Z)", CONTRACT, re.MULTILINE | re.DOTALL)
    assert listed is not None
    return set(re.sub(r"\([^)]*\)|with content:|[.;]", " ", listed[1]).split())


def _one(served: Served, request_id: str) -> dict[str, Any]:
    (run,) = served.get("/api/v1/runs", request_id=request_id)["runs"]
    return dict(run)


def _requests(served: Served, **query: Any) -> set[str]:
    return {run["request_id"] for run in served.pages("/api/v1/runs", "runs", **query)}


def test_a_run_has_every_field_of_the_contract(served: Served) -> None:
    """Each is there on every run, with the figures that were sent."""
    wanted = fields("Run")
    assert len(wanted) > 50
    for run in served.get("/api/v1/runs", limit=100)["runs"]:
        assert wanted <= set(run), wanted - set(run)
    run = _one(served, "req-refund")
    assert (run["run_id"], run["trace_id"]) == ids("refund")
    known = {
        "tenant": "acme",
        "environment": "prod",
        "session_id": "sess-refund",
        "user_id": "u-1",
        "agent": "support-agent",
        "agent_version": "1.2",
        "status": "ended",
        "stop_reason": "finish",
        "stop_reason_source": "reported",
        "outcome": "success",
        "started_at": "2026-01-05T12:00:00.000000Z",
        "ended_at": "2026-01-05T12:01:00.000000Z",
        "run_seconds": pytest.approx(60),
        "state": "completed",
        "task": "t-7",
        "task_type": "refund",
        "variant": "b",
        "model_calls": 2,
        "input_tokens": 2400,
        "output_tokens": 160,
        "cache_read_tokens": 1200,
        "cost_usd": 0.008,
        "budget": {"max_usd": {"limit": 0.01, "used": 0.008}, "max_steps": {"limit": 20, "used": 4}},
        "spans_stored": 5,
        "spans_expected": 5,
        "complete": True,
        "input_preview": "Refund order 1842",
        "output_preview": "Done.",
    }
    assert {name: run[name] for name in known} == known


def test_what_is_not_known_is_null(served: Served) -> None:
    """Never an empty text, and never a zero."""
    run = _one(served, "req-plain")
    unknown = ("session_id", "user_id", "environment", "agent_version", "task", "budget", "input_preview")
    assert [run[name] for name in (*unknown, "cost_usd", "input_tokens", "spans_expected", "complete")] == [None] * 11
    assert "" not in run.values()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"tenant": "acme"}, {"req-refund"}),
        ({"tenant": "acme,globex", "agent": ["ops-agent", "support-agent"]}, {"req-refund", "req-denied"}),
        ({"environment": "prod"}, {"req-refund"}),
        ({"agent_version": "1.2"}, {"req-refund"}),
        ({"status": "running"}, {"req-running"}),
        ({"stop_reason": "policy_deny"}, {"req-denied"}),
        ({"stop_reason": "loop_detected:fetch_page"}, {"req-loop"}),
        ({"outcome": "success", "agent": "support-agent"}, {"req-refund"}),
        ({"type": "call"}, {"req-lone"}),
        ({"task": "t-7"}, {"req-refund"}),
        ({"task_type": "refund"}, {"req-refund"}),
        ({"variant": "b"}, {"req-refund"}),
        ({"session_id": "sess-twice"}, {"req-twice"}),
        ({"user_id": "u-1"}, {"req-refund"}),
        ({"request_id": "req-loop"}, {"req-loop"}),
        ({"tool": "send_email"}, {"req-denied"}),
        ({"escalated": "true"}, {"req-denied"}),
        ({"text": "ORDER 1842"}, {"req-refund"}),
        ({"model": "gpt-4o-mini", "agent": "plain-agent"}, {"req-plain"}),
        ({"since": "2026-01-05T12:02:00Z", "until": "2026-01-05T12:04:00Z"}, {"req-plain", "req-loop"}),
        ({"since": "1h"}, {"req-running"}),
        ({"agent": "nobody"}, set()),
    ],
    ids=lambda given: str(sorted(given) if isinstance(given, set) else given),
)
def test_a_filter_keeps_the_runs_it_names(served: Served, query: dict[str, Any], expected: set[str]) -> None:
    """Repeated and comma-separated values are alternatives, different filters must all hold."""
    assert _requests(served, **query) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"since": "1900-01-01"},
        {"since": "1600-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
        {"since": "99999999999d"},
        {"since": "2026-01-05T14:00:00+02:00"},
        {"since": "2026-01-05"},
        {"until": "0s"},
    ],
    ids=str,
)
def test_any_time_that_can_be_written_is_understood(served: Served, query: dict[str, str]) -> None:
    """Far past and far future mean all time; a zone counts; a date is its midnight."""
    assert len(_requests(served, **query)) == AGENT_RUNS - 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "yesterday"}, "RFC 3339"),
        ({"until": "90"}, "RFC 3339"),
        ({"since": "2026"}, "RFC 3339"),
        ({"since": "1h", "until": "2h"}, "swap them"),
        ({"sort": "-cost"}, "did you mean 'cost_usd'"),
        ({"stop_reason": "finsh"}, "did you mean 'finish'"),
        ({"status": "done"}, "running, ended"),
        ({"outcome": "won"}, "success"),
        ({"agnet": "x"}, "did you mean 'agent'"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "'many'"),
        ({"escalated": "perhaps"}, "escalated"),
        ({"cursor": "nonsense"}, "first page"),
        ({"cursor": base64.urlsafe_b64encode(json.dumps(["runs-started_at", 10**30, "x"]).encode())}, "first page"),
        ({"cursor": base64.urlsafe_b64encode(b"[" * 20_000)}, "first page"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_asked_is_refused_with_the_way_out(served: Served, query: dict[str, Any], said: str) -> None:
    """400 as a problem document: a misspelt filter never widens the answer to everything."""
    assert said in served.refused("/api/v1/runs", 400, **query)["detail"]


def test_pages_hold_every_run_once(served: Served) -> None:
    """In whatever order, and the last page says that it is the last."""
    for sort in ("-started_at", "started_at", "-tokens", "cost_usd", "-run_seconds", "tool_errors"):
        paged = [run["run_id"] for run in served.pages("/api/v1/runs", "runs", limit=7, sort=sort)]
        assert len(paged) == len(set(paged)) == AGENT_RUNS, sort
        assert paged == [run["run_id"] for run in served.get("/api/v1/runs", limit=1000, sort=sort)["runs"]], sort


def test_a_list_is_in_the_order_asked_for(served: Served) -> None:
    """Newest first by itself; else by the field, smallest first without a minus."""
    newest = [run["started_at"] for run in served.get("/api/v1/runs", limit=1000)["runs"]]
    assert newest == sorted(newest, reverse=True)
    filler = served.get("/api/v1/runs", agent="filler-agent", sort="tokens", limit=1000)["runs"]
    assert [run["input_tokens"] for run in filler] == list(range(100, 100 + FILLERS))


def test_a_cursor_of_another_order_is_refused(served: Served) -> None:
    """Its position means nothing there."""
    cursor = served.get("/api/v1/runs", limit=1)["next_cursor"]
    assert "first page" in served.refused("/api/v1/runs", 400, sort="tokens", cursor=cursor)["detail"]


def test_a_run_is_found_by_its_id_and_by_its_request(served: Served) -> None:
    """A request of two runs names none of them, and the answer says what was looked for."""
    run_id, _ = ids("refund")
    assert served.get(f"/api/v1/runs/{run_id}") == served.get("/api/v1/runs/req-refund") == _one(served, "req-refund")
    assert served.get("/api/v1/runs/req-running")["status"] == "running"
    for unknown in ("req-twice", "nope", "../../etc/passwd", "%00"):
        detail = served.refused(f"/api/v1/runs/{unknown}", 404)["detail"]
        assert "searched all tenants and times" in detail or "/docs" in detail


def test_spans_come_in_start_order_page_by_page(served: Served) -> None:
    """With the contract's fields, and no content unless asked for."""
    pages = served.pages("/api/v1/runs/req-refund/spans", "spans", limit=2)
    assert pages == served.get("/api/v1/runs/req-refund/spans")["spans"]
    assert [span["span_class"] for span in pages] == ["agent", "llm", "tool", "tool", "llm"]
    content = {
        "input",
        "output",
        "system_instructions",
        "tool_definitions",
        "attributes",
        "resource",
        "events",
        "links",
    }
    assert fields("Span") - {"response", "or", "request", "JSON", "values"} - content <= set(pages[0])
    assert not content & set(pages[0])
    full = served.get("/api/v1/runs/req-refund/spans", content=True)["spans"]
    assert all(content <= set(span) for span in full)
    assert "first page" in served.refused("/api/v1/runs/req-refund/spans", 400, cursor="x")["detail"]
    served.refused("/api/v1/runs/nope/spans", 404)


def test_one_span_has_what_was_sent_with_it(served: Served) -> None:
    """Attributes whose text stands in a column are put back word for word; content is JSON where it was JSON."""
    call = served.get("/api/v1/runs/req-refund/spans")["spans"][2]
    span = served.get(f"/api/v1/runs/req-refund/spans/{call['span_id']}")
    assert span["attributes"]["gen_ai.tool.call.arguments"] == '{"order":1842}'
    assert span["attributes"]["gen_ai.tool.call.result"] == '{"ok": true}'
    assert span["resource"] == {"service.name": "served-runs"}
    assert (span["input"], span["output"], span["ms"]) == ({"order": 1842}, {"ok": True}, 500.0)
    detail = served.refused("/api/v1/runs/req-refund/spans/0000000000000000", 404)["detail"]
    assert ids("refund")[1] in detail


def test_steps_are_the_turns_in_order(served: Served) -> None:
    """With the contract's fields; a replayed call says so."""
    steps = served.get("/api/v1/runs/req-refund/steps")["steps"]
    assert fields("Step") <= set(steps[0])
    assert [(step["kind"], step["tool"], step["replayed"]) for step in steps] == [
        ("model", None, False),
        ("tool", "issue_refund", False),
        ("tool", "issue_refund", True),
        ("model", None, False),
    ]
    served.refused("/api/v1/runs/nope/steps", 404)


def test_json_that_few_can_write_is_answered_all_the_same(served: Served) -> None:
    """Halves of surrogate pairs, integers over 64 bits, no-numbers, and nesting without end."""
    path = f"/api/v1/runs/{HOSTILE_ID.replace('/', '%2F').replace('?', '%3F').replace('#', '%23')}"
    spans = served.get(f"{path}/spans", content=True)["spans"]
    output = next(span for span in spans if span["tool_name"] == "deeper")["output"]
    assert output.startswith("[[[[")
    odd = next(span for span in spans if span["tool_name"] not in {None, "deeper"})["output"]
    assert (odd["big"], odd["half"], odd["none"]) == (123456789012345678901234567890, "\ud83d", None)
    assert json.dumps(odd["deep"]) == "[" * 400 + "]" * 400


def test_facets_name_what_can_be_filtered_by(served: Served) -> None:
    """Sorted, and without what is not known."""
    facets = served.get("/api/v1/facets")
    assert set(facets) >= {"tenant", "environment", "agent", "model", "stop_code", "task_type", "variant", "tool"}
    assert facets["environment"] == ["prod"]
    assert "ops-agent" in facets["agent"]
    assert all("" not in values and values == sorted(values) for values in facets.values())
