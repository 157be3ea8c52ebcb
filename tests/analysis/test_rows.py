from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.rows import rows as table
from tests.support.rows import run, span

from spanhouse_analysis import rows
from spanhouse_analysis.export import write_rows
from spanhouse_analysis.previews import answered, asked

TIME = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)

RUN_FIELDS = (
    "run_id trace_id request_id session_id user_id tenant environment agent agent_version model models status "
    "stop_reason stop_reason_source outcome started_at ended_at run_seconds state type task task_type variant "
    "resumes steps model_calls model_errors tool_calls tool_errors tool_requests policy_denials loops "
    "cycle_length retries retry_storm escalated input_tokens output_tokens cache_read_tokens "
    "cache_write_tokens reasoning_tokens cost_usd cost_source unpriced_models budget spans_stored "
    "spans_expected audit_stored audit_expected complete convention name error_type error_message input_preview "
    "output_preview root_span_id "
)
SPAN_FIELDS = (
    "trace_id span_id parent_span_id name span_class status status_message error_type start end ms tool_name "
    "tool_call_id args_hash decision replayed attempt step step_kind model provider input_tokens output_tokens "
    "cache_read_tokens reasoning_tokens cost_usd finish_reasons agent service_name convention "
)


def one_run(**columns: Any) -> dict[str, Any]:
    [found] = rows.runs(table("runs", run(**columns)))
    return found


def test_a_run_has_every_field_of_the_contract() -> None:
    assert set(RUN_FIELDS.split()) <= set(one_run())


def test_unknown_is_null_and_times_are_rfc_3339() -> None:
    found = one_run(agent="", started_at=TIME, ended_at=None, cost_usd=None)
    assert (found["agent"], found["ended_at"], found["cost_usd"]) == (None, None, None)
    assert found["started_at"] == "2026-03-04T12:00:00.123456Z"


def test_the_budget_is_an_object_or_null() -> None:
    assert one_run(budget='{"max_steps":{"limit":20,"used":3}}')["budget"] == {"max_steps": {"limit": 20, "used": 3}}
    assert one_run(budget="")["budget"] is None
    assert one_run(budget="broken")["budget"] is None


@pytest.mark.parametrize(
    ("stored", "expected", "complete"), [(3, None, None), (3, 3, True), (4, 3, True), (2, 3, False)]
)
def test_a_run_is_complete_when_all_spans_it_made_are_stored(
    stored: int, expected: int | None, *, complete: bool | None
) -> None:
    assert one_run(spans_stored=stored, spans_expected=expected)["complete"] is complete


@pytest.mark.parametrize(
    ("spans", "stored", "expected", "complete"),
    [
        ((3, 3), 5, 5, True),
        ((3, 3), 4, 5, False),
        ((2, 3), 5, 5, False),
        ((3, None), 5, 5, True),
        ((3, 3), 0, None, True),
    ],
)
def test_a_complete_run_has_all_its_audit_events_too(
    spans: tuple[int, int | None], stored: int, expected: int | None, *, complete: bool
) -> None:
    """What the SDK did not say it made cannot be missing."""
    row = table("runs", run(spans_stored=spans[0], spans_expected=spans[1], audit_expected=expected))
    [found] = rows.runs(row.append_column("audit_stored", [[stored]]))
    assert found["complete"] is complete
    assert (found["audit_stored"], found["audit_expected"]) == (stored, expected)


def test_a_span_has_every_field_and_its_content_only_when_asked_for() -> None:
    stored = table(
        "spans",
        span(duration_ns=1_500_000, request_model="gpt", input='[{"role":"user"}]', output="plain",
             attributes=[("k", "v")], events="[]"),
    )  # fmt: skip
    [slim] = rows.spans(stored)
    assert set(slim) == set(SPAN_FIELDS.split())
    assert (slim["ms"], slim["model"]) == (1.5, "gpt")
    [full] = rows.spans(stored, content=True)
    assert (full["input"], full["output"], full["attributes"], full["events"]) == (
        [{"role": "user"}],
        "plain",
        {"k": "v"},
        [],
    )
    assert full["system_instructions"] is None


def test_previews_are_what_was_said_last_in_plain_text() -> None:
    said = [{"role": role, "content": text} for role, text in (("user", "one"), ("assistant", "two"), ("user", "a\nb"))]
    history = json.dumps(said)
    assert asked(history) == "a b"
    assert (
        answered('[{"role":"assistant","parts":[{"type":"tool_call","id":"1"},{"type":"text","content":"ok"}]}]')
        == "ok"
    )
    assert asked("plain text") == "plain text"
    assert asked('{"question":"why?"}') == "why?"
    assert asked("[broken") == "[broken"
    assert len(asked("x" * 900)) == 500


GIVEN: list[dict[str, Any]] = [
    {"name": "=1+1", "value": -2.5, "tags": ["a"], "none": None},
    {"name": "plain", "value": 3, "more": "@cmd"},
]


def test_a_csv_runs_no_formula_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert write_rows(GIVEN, path, "csv") == 2
    assert path.read_text().splitlines() == [
        "name,value,tags,none,more",
        '\'=1+1,-2.5,"[""a""]",,',
        "plain,3,,,'@cmd",
    ]


def test_parquet_and_json_hold_the_same_rows(tmp_path: Path) -> None:
    assert write_rows(GIVEN, tmp_path / "rows.parquet", "parquet") == 2
    read = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert (read[0]["name"], read[0]["value"], read[0]["tags"], read[1]["more"]) == ("=1+1", -2.5, '["a"]', "@cmd")
    assert write_rows([], tmp_path / "rows.json", "json") == 0
    assert (tmp_path / "rows.json").read_text() == "[]\n"
    with pytest.raises(ValueError, match="use csv, json, parquet"):
        write_rows(GIVEN, tmp_path / "rows.xls", "xls")
