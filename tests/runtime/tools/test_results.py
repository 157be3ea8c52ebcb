"""What a tool returns is looked over before the model sees it, and odd tools fail in plain words."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.model import ToolCall
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_failure import ResultRefused
from spanhouse_runtime.tool_result import ToolResult
from spanhouse_runtime.tools import InvalidCall, Tool, Toolbox, tool
from spanhouse_runtime.worker import left_running

KEY = "sk-ant-" + "a1b2c3d4e5f6a7b8c9d0"


class Order(BaseModel):
    """What a tool declares to return."""

    id: str
    usd: float


def run(made: Tool, **settings: Any) -> tuple[RunResult, str]:
    model = ScriptedModel([calls(made.name), says("done")])
    result = Agent("clerk", model, [made], **{"on_timeout": "tell_model", **settings}).run("Go")
    return result, model.requests[-1].messages[-1].content


def error(answer: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer)["error"]
    return told


def gives(value: Any, **settings: Any) -> Tool:
    return tool(lambda: value, name="gives", **settings)


def test_a_result_that_fits_its_declared_output_reaches_the_model_in_its_form() -> None:
    _, answer = run(gives({"id": "A", "usd": "5"}, output=Order))
    assert json.loads(answer) == {"id": "A", "usd": 5.0}


def test_a_result_that_does_not_fit_is_a_malformed_failure_that_shows_no_values(sink: OtlpSink) -> None:
    result, answer = run(gives({"id": "A", "usd": "hunter2"}, output=Order))
    assert error(answer)["type"] == "malformed"
    assert "usd: " in error(answer)["message"]
    assert "hunter2" not in answer
    spans, _ = recorded(sink, result.run_id)
    assert [s.attributes.get("spanhouse.error.class") for s in spans if s.status == 2] == ["malformed"]


def test_secrets_in_a_result_are_cut_out_before_the_model_sees_it(sink: OtlpSink) -> None:
    result, answer = run(gives(f"the key is {KEY}"))
    assert answer == "the key is [REDACTED:anthropic_key]"
    (_, decision) = named(recorded(sink, result.run_id)[1], "policy.decision")
    assert (decision["rule"], decision["decision"], decision["reason"]) == (
        "secret_scan",
        "allow",
        "1 secret in the result",
    )


def test_a_result_with_secrets_can_be_withheld_or_passed_on() -> None:
    assert error(run(gives(KEY, scan="refuse"))[1]) == {
        "type": "content_filter",
        "message": "the result of gives is withheld: there is 1 secret in the result",
    }
    assert run(gives(KEY, scan="pass"))[1] == KEY


def test_a_result_is_cut_to_its_own_size() -> None:
    _, answer = run(gives("x" * 5_000, result_bytes=300))
    assert answer.endswith("[cut: the first 300 of 5000 bytes]")
    assert len(answer) == 300


def test_a_hook_changes_a_result_and_the_record_says_so(sink: OtlpSink) -> None:
    seen: list[ToolResult] = []

    def hook(result: ToolResult) -> str | None:
        seen.append(result)
        return result.text.replace("maria", "a customer")

    result, answer = run(gives("maria called"), after_tool=hook)
    assert answer == "a customer called"
    assert (seen[0].tool, seen[0].text, seen[0].run_id) == ("gives", "maria called", result.run_id)
    decisions = named(recorded(sink, result.run_id)[1], "policy.decision")
    assert [d["reason"] for d in decisions if d["rule"] == "after_tool"] == ["the result was changed"]


def test_a_hook_withholds_a_result() -> None:
    def hook(result: ToolResult) -> str | None:
        msg = f"not for a model: {result.tool}"
        raise ResultRefused(msg)

    told = error(run(gives("maria called"), after_tool=hook)[1])
    assert told == {"type": "content_filter", "message": "the result of gives is withheld: not for a model: gives"}


def test_a_hook_that_fails_shows_nothing() -> None:
    def hook(_: ToolResult) -> str | None:
        raise LookupError

    _, answer = run(gives("maria called"), after_tool=hook)
    assert "maria" not in answer
    assert error(answer)["type"] == "invalid_input"


class Unspeakable:
    """Cannot show itself."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_a_result_that_cannot_be_written_as_json_is_shown_as_well_as_can_be() -> None:
    assert "object" in run(gives({"x": object()}))[1]
    assert run(gives(Unspeakable()))[1] == '"<Unspeakable without a repr>"'


class Mute(Exception):  # noqa: N818 - what it is
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "problem", [SystemExit(3), asyncio.CancelledError(), GeneratorExit(), Mute(), RecursionError()], ids=repr
)
def test_whatever_a_tool_raises_is_a_failure_of_the_tool_and_the_run_is_whole(
    sink: OtlpSink, problem: BaseException
) -> None:
    def odd() -> None:
        raise problem

    result, answer = run(tool(odd))
    assert (str(result.stop_reason), result.tools["odd"].failed) == ("finish", 1)
    assert error(answer)["type"] == "other"
    spans, events = recorded(sink, result.run_id)
    assert len(spans) == spans[0].attributes["spanhouse.spans_expected"]
    assert [event["stop_reason"] for event in named(events, "run.end")] == ["finish"]


async def leaves() -> None:
    """End as a script does, from a coroutine."""
    await asyncio.sleep(0)
    sys.exit(1)


def test_a_coroutine_that_exits_has_failed() -> None:
    assert run(tool(leaves))[0].tools["leaves"].failed == 1


def test_a_sync_tool_out_of_time_is_said_and_counted_to_run_on() -> None:
    release = threading.Event()

    def slow() -> None:
        release.wait(60)

    before = left_running()
    result, answer = run(tool(slow, timeout_seconds=0.05))
    assert "cannot be stopped and goes on in its thread" in error(answer)["message"]
    assert (result.tools["slow"].left_running, left_running()) == (1, before + 1)
    assert str(result.tools["slow"]) == "1 failed, 1 left running"
    release.set()


@pytest.mark.parametrize("usd", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_of_json_is_no_argument(usd: str) -> None:
    def pay(usd: float) -> None:
        """Pay."""

    with pytest.raises(InvalidCall, match=r"usd|is no number"):
        Toolbox([pay]).check(ToolCall("1", "pay", f'{{"usd": {usd}}}'))
    with pytest.raises(InvalidCall, match="usd"):
        Toolbox([pay]).check(ToolCall("1", "pay", {"usd": float(usd)}))


def test_an_unknown_tool_is_told_with_the_nearest_name() -> None:
    model = ScriptedModel([calls("give"), says("done")])
    Agent("clerk", model, [gives("x")]).run("Go")
    told = error(model.requests[-1].messages[-1].content)
    assert (told["type"], told["hint"]) == ("invalid_input", "did you mean gives?")


def test_only_the_last_of_equal_errors_stays_in_the_prompt() -> None:
    def fetch(page: int) -> None:
        reason = "no route to host" if page != 2 else "another thing"
        raise ConnectionError(reason)

    model = ScriptedModel([*(calls("fetch", f"c{page}", page=page) for page in (1, 2, 3)), says("done")])
    Agent("clerk", model, [fetch]).run("Go")
    told = [error(m.content)["message"] for m in model.requests[-1].messages if m.role == "tool"]
    assert [message.partition(": ")[2] for message in told] == ["", "another thing", "no route to host"]
    assert [m.tool_call_id for m in model.requests[-1].messages if m.role == "tool"] == ["c1", "c2", "c3"]


def takes_back(arguments: dict[str, Any], result: str) -> str:
    """Take a call back."""
    return f"{arguments} {result}"


@pytest.mark.parametrize(
    ("settings", "says_"),
    [
        ({"cache_seconds": 60}, "declare action='read'"),
        ({"cache_seconds": float("nan"), "action": "read"}, "cache_seconds must be 0 or more"),
        ({"undo": takes_back}, "declare its action"),
        ({"result_bytes": 1}, "result_bytes must be 256 or more"),
        ({"scan": "maybe"}, "scan cannot be 'maybe'"),
        ({"action": "destroy"}, "action cannot be 'destroy'"),
        ({"fallback": {"nope": "other"}}, "no error type 'nope'"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
    ids=lambda given: given if isinstance(given, str) else "-".join(given),
)
def test_declarations_that_contradict_one_another_are_refused_when_the_tool_is_made(
    settings: dict[str, Any], says_: str
) -> None:
    with pytest.raises(ConfigurationError, match=says_):
        tool(lambda: None, name="odd", **settings)


def test_a_tool_can_be_called_by_its_author_as_the_function_it_is() -> None:
    @tool(action="read")
    def double(number: int) -> int:
        """Double."""
        return number * 2

    assert double(4) == 8
    assert len({double, double}) == 1
