from __future__ import annotations

import pytest
from tests.support.small_traces import Row, compute, span, steps


def test_of_nested_model_spans_the_innermost_counts() -> None:
    [run] = compute(
        span("a", "agent", input_tokens=20, output_tokens=4),
        span("outer", "llm", "a", input_tokens=10, output_tokens=2),
        span("inner", "llm", "outer", input_tokens=10, output_tokens=2),
        span("other", "llm", "a", at=2, input_tokens=7, output_tokens=1),
    )
    assert (run["model_calls"], run["input_tokens"], run["output_tokens"]) == (2, 17, 3)


def test_a_model_span_without_a_response_or_an_error_is_no_call() -> None:
    [run] = compute(
        span("a", "agent"),
        span("prepare", "llm", "a"),
        span("zero", "llm", "a", input_tokens=0),
        span("id", "llm", "a", response_id="r"),
        span("finish", "llm", "a", finish_reasons=["stop"]),
        span("text", "llm", "a", output='[{"role":"assistant"}]'),
        span("failed", "llm", "a", status="error"),
    )
    assert (run["model_calls"], run["model_errors"]) == (4, 1)


def test_of_nested_tool_spans_of_one_call_the_outermost_counts() -> None:
    [run] = compute(
        span("a", "agent"),
        span("t", "tool", "a", tool_name="search", tool_call_id="c1"),
        span("client", "tool", "t", tool_name="search", tool_call_id="c1"),
        span("server", "tool", "client", tool_name="search"),
        span("within", "tool", "t", tool_name="lookup", tool_call_id="c2"),
        span("again", "tool", "within", tool_name="search", tool_call_id="c3"),
    )
    assert run["tool_calls"] == 3


def test_a_denied_call_was_requested_and_not_made() -> None:
    spans = [
        span("a", "agent"),
        span("t1", "tool", "a", at=1, tool_name="mail", decision="deny", status="error"),
        span("t2", "tool", "a", at=2, tool_name="mail", decision="allow"),
        span("t3", "tool", "a", at=3, tool_name="mail", replayed=True),
    ]
    [run] = compute(*spans)
    assert (run["tool_requests"], run["tool_calls"], run["policy_denials"], run["tool_errors"]) == (3, 2, 1, 0)
    assert [(row["seq"], row["kind"], row["tool"], row["status"]) for row in steps(*spans)] == [
        (1, "tool", "mail", "denied"),
        (2, "tool", "mail", "ok"),
        (3, "tool", "mail", "ok"),
    ]


def test_a_run_whose_figures_stand_on_its_own_span_keeps_them() -> None:
    [run] = compute(
        span(
            "a",
            "agent",
            input_tokens=900,
            output_tokens=100,
            reasoning_tokens=40,
            cost_usd=0.5,
            steps=17,
            cost_source="reported",
            response_model="gpt-5",
            outcome="success",
            stop_reason="finish",
        )
    )
    figures = ("input_tokens", "output_tokens", "reasoning_tokens", "cost_usd", "cost_source", "steps", "model")
    assert tuple(run[name] for name in figures) == (900, 100, 40, 0.5, "reported", 17, "gpt-5")
    assert run["models"] == ["gpt-5"]
    assert run["cache_read_tokens"] is None


COUNTS = (
    *("model_calls", "model_errors", "tool_calls", "tool_errors", "tool_requests", "policy_denials", "loops"),
    *("cycle_length", "retries", "retry_storm"),
)


@pytest.mark.parametrize("figures", [{"input_tokens": 900}, {"steps": 17}, {"cost_usd": 0.5, "steps": 2}])
def test_calls_nobody_recorded_are_unknown_and_not_zero(figures: Row) -> None:
    """A run that says what it used, or how many turns it took, made calls that are not here."""
    [run] = compute(span("a", "agent", **figures))
    assert {run[name] for name in COUNTS} == {None}
    [run] = compute(span("a", "agent", **figures), span("t", "tool", "a", tool_name="search"))
    assert (run["tool_calls"], run["model_calls"], run["loops"], run["retry_storm"]) == (1, 0, 0, False)


def test_a_run_that_did_nothing_made_no_calls() -> None:
    [run] = compute(span("a", "agent"))
    assert {run[name] for name in COUNTS} == {0}
    [run] = compute(span("a", "agent", is_final=False, seconds=0))
    assert (run["status"], run["tool_calls"]) == ("running", 0)


def test_a_sub_agent_without_counted_calls_adds_its_own_figures() -> None:
    [run] = compute(
        span("a", "agent", input_tokens=999),
        span("m", "llm", "a", input_tokens=5, output_tokens=1),
        span("b", "agent", "a", input_tokens=30, output_tokens=3),
        span("c", "agent", "b", input_tokens=30, output_tokens=3),
    )
    assert (run["input_tokens"], run["output_tokens"]) == (35, 4)


def test_tokens_nobody_reported_are_unknown_and_not_zero() -> None:
    [run] = compute(span("a", "agent"), span("m", "llm", "a", response_id="r"))
    assert run["input_tokens"] is None
    assert run["cost_usd"] is None
    assert (run["cost_source"], run["unpriced_models"]) == ("", [])


def test_cost_adds_up_calls_and_what_tools_declare() -> None:
    [run] = compute(
        span("a", "agent"),
        span("m", "llm", "a", input_tokens=5, cost_usd=0.25, cost_source="reported"),
        span("n", "llm", "a", status="error"),
        span("t", "tool", "a", tool_name="sms", cost_usd=0.5),
    )
    assert (run["cost_usd"], run["cost_source"]) == (0.75, "reported")


def test_one_unpriced_call_makes_the_cost_unknown_and_is_named() -> None:
    [run] = compute(
        span("a", "agent"),
        span("m", "llm", "a", input_tokens=5, cost_usd=0.25, response_model="known"),
        span("n", "llm", "a", input_tokens=5, response_model="house-model"),
    )
    assert run["cost_usd"] is None
    assert (run["cost_source"], run["unpriced_models"]) == ("partial", ["house-model"])


def test_the_model_is_that_of_most_calls_and_the_answering_one() -> None:
    [run] = compute(
        span("a", "agent"),
        *(span(f"m{n}", "llm", "a", input_tokens=1, request_model="gpt", response_model="gpt-2026") for n in range(2)),
        span("n", "llm", "a", input_tokens=1, request_model="small"),
    )
    assert (run["model"], run["models"]) == ("gpt-2026", ["gpt-2026", "small"])
