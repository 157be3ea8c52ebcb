from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.small_traces import EPOCH, Row, compute, frame, span, steps

from spanhouse_analysis import facts, frames


def test_a_run_is_running_until_its_finished_root_comes() -> None:
    pending = span("a", "agent", seconds=0, is_final=False, version=1)
    [run] = compute(pending, span("m", "llm", "a", input_tokens=3))
    assert (run["status"], run["stop_reason"], run["stop_reason_source"]) == ("running", "", "")
    assert run["ended_at"] is None
    assert (run["spans_stored"], run["completed"]) == (1, False)
    final = span("a", "agent", seconds=9, version=2)
    [run] = compute(pending, final, span("m", "llm", "a", input_tokens=3))
    assert (run["status"], run["stop_reason"], run["stop_reason_source"]) == ("ended", "finish", "inferred")
    assert (run["run_seconds"], run["spans_stored"]) == (9.0, 2)


def test_a_run_without_an_end_is_abandoned_after_the_lease_and_not_before() -> None:
    spans = [span("m", "llm", "gone", at=0, input_tokens=1), span("t", "tool", "gone", at=10)]
    last = EPOCH + timedelta(seconds=11)
    [run] = compute(*spans, now=last + timedelta(seconds=1799))
    assert (run["status"], run["stop_reason"]) == ("running", "")
    [run] = compute(*spans, now=last + timedelta(seconds=1800))
    assert (run["status"], run["stop_reason"], run["stop_reason_source"]) == ("ended", "abandoned", "inferred")
    assert (run["ended_at"], run["run_seconds"]) == (last, 11.0)


def test_a_sub_agent_that_ended_does_not_end_the_run_it_works_for() -> None:
    """Its parent, the tool call it is behind, comes only when that ends; by its clock it even began before the run."""
    sub_agent = span("s", "agent", "tool", at=-1, run_hint="r", stop_reason="finish")
    [run] = compute(span("a", "agent", "http", seconds=0, is_final=False, run_hint="r"), sub_agent)
    assert (run["status"], run["root_span_id"]) == ("running", "a")
    ended = span("a", "agent", "http", seconds=9, run_hint="r", stop_reason="max_steps", spans_expected=3)
    [run] = compute(ended, sub_agent)
    assert (run["status"], run["stop_reason"]) == ("ended", "max_steps")


def test_of_two_records_of_a_span_the_newest_counts_whatever_its_start() -> None:
    older = span("a", "agent", at=5, version=1, stop_reason="max_steps")
    newer = span("a", "agent", at=0, version=2, stop_reason="finish")
    for order in ((older, newer), (newer, older)):
        assert [run["stop_reason"] for run in compute(*order)] == ["finish"]


def test_an_agent_whose_parent_lives_elsewhere_still_ends() -> None:
    [run] = compute(span("a", "agent", "remote"))
    assert (run["status"], run["root_span_id"]) == ("ended", "a")


def test_a_lone_call_is_a_run_of_type_call() -> None:
    [run] = compute(span("m", "llm", "http", input_tokens=3))
    assert (run["type"], run["status"]) == ("call", "ended")
    [run] = compute(span("e", "embedding", input_tokens=3))
    assert (run["type"], run["input_tokens"]) == ("call", 3)


def test_context_and_helpers_alone_are_no_run() -> None:
    assert compute(span("h", "other"), span("s", "step", "h")) == []


def test_a_chain_root_is_a_workflow_and_an_agent_wins() -> None:
    calls = [span("m", "llm", "c", input_tokens=1), span("t", "tool", "c", at=1)]
    [run] = compute(span("c", "step"), *calls)
    assert run["type"] == "workflow"
    [run] = compute(span("c", "step"), *calls, span("a", "agent", "c", agent="weather"))
    assert (run["type"], run["agent"]) == ("agent", "weather")


def test_the_named_agent_names_the_run_before_the_workflow_around_it() -> None:
    [run] = compute(
        span("w", "workflow", name="invoke_workflow weather flow"),
        span("a", "agent", "w", agent="weather", name="invoke_agent weather", stop_reason="max_steps"),
    )
    assert (run["name"], run["agent"], run["root_span_id"]) == ("weather", "weather", "w")
    assert run["stop_reason"] == "max_steps"


def test_what_the_root_does_not_say_is_looked_for_further_down() -> None:
    [run] = compute(
        span("a", "agent", agent="desk", session_id="root-session"),
        span("s", "step", "a", at=5),
        span("m", "llm", "s", at=1, user_id="deep", request_id="deep", agent="owner"),
        span("t", "tool", "a", at=6, user_id="near", session_id="other"),
    )
    assert (run["session_id"], run["user_id"], run["request_id"]) == ("root-session", "near", "deep")
    assert (run["agent"], run["task"]) == ("desk", "")


def test_an_outcome_decides_completion_and_else_the_stop_reason() -> None:
    def completed(**columns: Any) -> bool:
        return bool(compute(span("a", "agent", **columns))[0]["completed"])

    assert completed(outcome="success", stop_reason="max_steps")
    assert not completed(outcome="failure", stop_reason="finish")
    assert completed(stop_reason="finish")
    assert not completed(stop_reason="max_steps")
    assert not completed(stop_reason="finish", escalated=True)
    assert completed(outcome="success", escalated=True)


def test_a_hand_over_tool_marks_the_run_escalated() -> None:
    [run] = compute(span("a", "agent"), span("t", "tool", "a", tool_name="transfer_to_human_agents"))
    assert (run["escalated"], run["stop_reason"], run["completed"]) == (True, "escalated", False)
    [run] = compute(
        span("a", "agent"),
        span("t", "tool", "a", tool_name="transfer_to_human_agents"),
        span("u", "tool", "a", at=1, tool_name="close_ticket"),
    )
    assert (run["escalated"], run["stop_reason"]) == (True, "finish")


def test_loops_and_cycles_need_known_equal_arguments_and_spare_polling() -> None:
    def calls(*made: str, **columns: Any) -> tuple[int, int]:
        tools = [span(f"t{n}", "tool", "a", at=n, tool_name="x", args_hash=h, **columns) for n, h in enumerate(made)]
        [run] = compute(span("a", "agent"), *tools)
        return run["loops"], run["cycle_length"]

    assert calls("h", "h") == (0, 0)
    assert calls("h", "h", "h") == (1, 0)
    assert calls("h", "h", "h", "g", "h", "h", "h") == (2, 0)
    assert calls("h", "g", "h", "g", "h", "g") == (0, 2)
    assert calls("", "", "") == (0, 0)
    assert calls("h", "h", "h", polling=True) == (0, 0)


def test_a_retry_follows_a_failed_call_of_the_same_tool_and_arguments() -> None:
    def call(number: int, at: float, args: str, status: str = "error", **columns: Any) -> dict[str, object]:
        row: dict[str, object] = span(
            f"t{number}", "tool", "a", at=at, tool_name="x", args_hash=args, status=status, **columns
        )
        return row

    [run] = compute(
        span("a", "agent"), call(1, 0, "h"), call(2, 10, "g"), call(3, 20, "h", "ok"), call(4, 30, "h", "ok")
    )
    assert (run["retries"], run["retry_storm"], run["tool_errors"]) == (1, False, 2)
    [run] = compute(span("a", "agent"), call(1, 0, "h"), call(2, 30, "g"), call(3, 60, "k"))
    assert (run["retries"], run["retry_storm"]) == (0, True)
    [run] = compute(span("a", "agent"), call(1, 0, "h"), call(2, 30, "g"), call(3, 60.001, "k"))
    assert run["retry_storm"] is False
    [run] = compute(span("a", "agent"), call(1, 0, "h", "ok", attempt=2))
    assert run["retries"] == 1


def test_steps_are_those_the_agent_counted_else_those_seen() -> None:
    spans = [
        span("m", "llm", "a", at=1, input_tokens=1, output_tokens=2, response_model="gpt"),
        span("p", "step", "a", at=2, step_kind="plan"),
        span(
            "t",
            "tool",
            "a",
            at=3,
            seconds=0.25,
            tool_name="x",
            status="error",
            error_type="timeout",
            status_message="slow\nstack",
        ),
        span("h", "step", "a", at=4),
    ]
    assert compute(span("a", "agent"), *spans)[0]["steps"] == 3
    assert compute(span("a", "agent", steps=7), *spans)[0]["steps"] == 7
    rows = steps(span("a", "agent"), *spans)
    assert [(row["seq"], row["kind"], row["model"], row["tool"]) for row in rows] == [
        (1, "model", "gpt", ""),
        (2, "plan", "", ""),
        (3, "tool", "", "x"),
    ]
    assert (rows[2]["ms"], rows[2]["status"], rows[2]["error_type"], rows[2]["error_message"]) == (
        250.0,
        "error",
        "timeout",
        "slow",
    )


def test_rows_have_the_columns_and_types_of_the_tables() -> None:
    found = facts.compute(frame([span("a", "agent"), span("m", "llm", "a", input_tokens=1)]), EPOCH)
    assert found.runs.schema == frames.RUNS
    assert found.steps.schema == frames.STEPS
    assert frames.to_table(found.runs, "runs").num_rows == 1
    empty = facts.compute(frame([span("h", "other")]), EPOCH)
    assert (empty.runs.height, empty.steps.height, empty.runs.schema) == (0, 0, frames.RUNS)


CLASSES = ["agent", "workflow", "llm", "tool", "step", "other", "embedding", "guardrail"]


@st.composite
def spans_of_a_trace(draw: st.DrawFn) -> list[Row]:
    names = [f"{number:02x}" for number in range(draw(st.integers(1, 10)))]
    return [
        {
            "tenant": "d",
            "trace_id": "t",
            "span_id": name,
            "parent_span_id": draw(st.sampled_from([*names, "gone", ""])),
            "span_class": draw(st.sampled_from(CLASSES)),
            "name": name,
            "start": EPOCH + timedelta(seconds=draw(st.integers(0, 5))),
            "end": EPOCH + timedelta(seconds=draw(st.integers(0, 9))),
            "received_at": EPOCH,
            "is_final": draw(st.booleans()),
            "status": draw(st.sampled_from(["ok", "error", "unset"])),
            "tool_name": draw(st.sampled_from(["", "x"])),
            "args_hash": draw(st.sampled_from(["", "h"])),
            "input_tokens": draw(st.sampled_from([None, 0, 5])),
            "exception_type": draw(st.sampled_from(["", "ValueError", "TimeoutError"])),
        }
        for name in names
    ]


@settings(deadline=None, max_examples=60)
@given(rows=spans_of_a_trace(), data=st.data(), late=st.booleans())
def test_facts_are_the_same_in_any_order_and_every_ended_run_has_exactly_one_stop_reason(
    rows: list[Row], data: st.DataObject, *, late: bool
) -> None:
    now = EPOCH + timedelta(hours=1 if late else 0)
    schema = {name: frames.SPANS[name] for name in rows[0]}
    expected = facts.compute(pl.DataFrame(rows, schema=schema), now)
    again = facts.compute(pl.DataFrame(data.draw(st.permutations(rows)), schema=schema), now)
    assert again.runs.sort("run_id").equals(expected.runs.sort("run_id"))
    assert again.steps.sort("run_id", "seq").equals(expected.steps.sort("run_id", "seq"))
    for run in expected.runs.iter_rows(named=True):
        assert bool(run["stop_reason"]) == (run["status"] == "ended")
        assert bool(run["stop_reason_source"]) == (run["status"] == "ended")
        assert (run["ended_at"] is None) == (run["status"] == "running")
    if late:
        assert (expected.runs["status"] == "ended").all()
