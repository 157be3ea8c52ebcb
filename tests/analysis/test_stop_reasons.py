from __future__ import annotations

import pytest
from tests.support.small_traces import compute, span

from spanhouse_analysis.stop_reasons import Failure, Signs, error_type_of, judge


def agent(types: str = "", message: str = "") -> Failure:
    return Failure("agent", "desk", types, message)


def model(types: str = "", message: str = "") -> Failure:
    return Failure("llm", "chat gpt", types, message)


def tool(types: str = "", message: str = "") -> Failure:
    return Failure("tool", "lookup", types, message)


CASES = [
    (agent("MaxTurnsExceeded"), None, "max_steps"),
    (agent("GraphRecursionError", "Recursion limit of 25 reached"), None, "max_steps"),
    (agent("RuntimeError", "Agent stopped due to max iterations."), None, "max_steps"),
    (agent("UsageLimitExceeded", "exceeded the total_tokens_limit of 100"), None, "max_tokens"),
    (agent("UsageLimitExceeded", "would exceed the request_limit of 50"), None, "max_steps"),
    (agent("UsageLimitExceeded", "would exceed the tool_calls_limit of 3"), None, "max_tool_calls"),
    (agent("BudgetExceededError", "spend of 1.02 USD is over 1.00"), None, "max_usd"),
    (agent("TokenLimitError"), None, "max_tokens"),
    (agent(), model("BadRequestError", "prompt is too long: 215448 tokens > 200000"), "context_overflow"),
    (agent("InputGuardrailTripwireTriggered"), None, "policy_deny:guardrail"),
    (agent(), tool("PermissionDenied"), "policy_deny:lookup"),
    (agent(), tool("ToolError", "blocked by policy"), "policy_deny:lookup"),
    (agent(), model("PermissionDeniedError", "Error code: 403"), "model_error:auth"),
    (agent("asyncio.exceptions.CancelledError"), None, "cancelled"),
    (agent("KeyboardInterrupt"), None, "cancelled"),
    (agent(), tool("TimeoutError"), "tool_timeout:lookup"),
    (agent("TimeoutError"), None, "max_seconds"),
    (agent(), model("RateLimitError"), "model_error:rate_limit"),
    (agent(), model("InternalServerError", "Error code: 503"), "model_error:unavailable"),
    (agent(), model("APIError"), "model_error:other"),
    (agent(), tool("KeyError"), "tool_error_exhausted:lookup"),
    (agent("builtins.ValueError", "bad"), None, "error:ValueError"),
    (agent(), None, "error:other"),
]


@pytest.mark.parametrize(("root", "innermost", "expected"), CASES)
def test_a_failed_run_stops_for_the_first_reason_that_speaks(
    root: Failure, innermost: Failure | None, expected: str
) -> None:
    verdict = judge(Signs(root=root, innermost=innermost or root))
    assert (str(verdict.reason), verdict.source) == (expected, "inferred")


def test_a_reported_reason_wins_and_a_foreign_word_does_not() -> None:
    failed = Signs(reported="policy_deny:mail", root=agent("TimeoutError"), innermost=agent("TimeoutError"))
    assert (str(judge(failed).reason), judge(failed).source) == ("policy_deny:mail", "reported")
    foreign = judge(Signs(reported="end_turn"))
    assert (str(foreign.reason), foreign.source) == ("finish", "inferred")


def test_a_run_that_did_not_fail_stops_by_what_ended_it() -> None:
    assert str(judge(Signs(finish_reasons=("length",), handed_over=True)).reason) == "max_tokens"
    assert str(judge(Signs(finish_reasons=("content_filter",))).reason) == "model_error:content_filter"
    assert str(judge(Signs(finish_reasons=("stop",), handed_over=True)).reason) == "escalated"
    assert str(judge(Signs(finish_reasons=("tool_calls",))).reason) == "finish"


def test_a_failing_guardrail_names_the_denial() -> None:
    [run] = compute(
        span("a", "agent", status="error", exception_type="OutputGuardrailTripwireTriggered"),
        span("g", "guardrail", "a", name="no_pii", status="error"),
    )
    assert run["stop_reason"] == "policy_deny:no_pii"


def test_a_failing_tool_whose_ancestors_failed_exhausted_the_run() -> None:
    [run] = compute(
        span(
            "a", "agent", status="error", seconds=9, exception_type="ToolError", status_message="lookup failed\nstack"
        ),
        span("s", "step", "a", at=1),
        span("t", "tool", "s", at=2, tool_name="lookup", status="error", exception_type="ToolError"),
    )
    assert (run["stop_reason"], run["error_type"]) == ("tool_error_exhausted:lookup", "ToolError")
    assert run["error_message"] == "lookup failed"


def test_a_failing_tool_the_run_went_on_after_is_not_why_it_ended() -> None:
    [run] = compute(
        span("a", "agent", status="error", seconds=9, exception_type="ValueError"),
        span("t", "tool", "a", at=1, tool_name="lookup", status="error", exception_type="ToolError"),
        span("m", "llm", "a", at=4, input_tokens=1),
    )
    assert run["stop_reason"] == "error:ValueError"


def test_a_tool_may_fail_without_failing_its_run() -> None:
    [run] = compute(
        span("a", "agent", seconds=9),
        span("t", "tool", "a", at=1, tool_name="lookup", status="error", exception_type="ToolError"),
    )
    assert (run["stop_reason"], run["error_type"], run["tool_errors"]) == ("finish", "", 1)


def test_error_types_are_a_closed_list() -> None:
    assert error_type_of("timeout") == "timeout"
    assert error_type_of("RateLimitError 429") == "rate_limit"
    assert error_type_of("JSONDecodeError") == "malformed"
    assert error_type_of("AuthenticationError") == "auth"
    assert error_type_of("something new") == "other"
