"""An operator's flags: stop, disable and pause reach a run before its next call, and while it waits on one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.support.agents import Flags, calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.context import current_run
from spanhouse.control import ControlPoller, Flag
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.model import ModelRequest, ModelResponse
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel


def step(n: int) -> str:
    """Do one step."""
    return f"did {n}"


def run(view: Flags, turns: Any = None, **control: Any) -> RunResult:
    model = ScriptedModel(turns or [calls("step", n=1), says("done")])
    agent = Agent("worker", model, [step], control=Control(view, **control))
    return agent.run("Work", tenant="acme", user_id="u-1")


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        (Flag("f", "stop", "all"), "operator_kill"),
        (Flag("f", "stop", "agent", "worker"), "operator_kill"),
        (Flag("f", "stop", "tenant", "acme", tenant="acme"), "operator_kill"),
        (Flag("f", "disable", "agent", "worker"), "disabled:worker"),
        (Flag("f", "disable", "tool", "step"), "disabled:step"),
        (Flag("f", "disable", "user", "u-1", tenant="acme"), "disabled:u-1"),
        (Flag("f", "disable", "tenant", "acme"), "disabled:acme"),
        (Flag("f", "disable", "all"), "disabled:all"),
        (Flag("f", "disable", "tool", "another"), "finish"),
        (Flag("f", "stop", "agent", "another"), "finish"),
        (Flag("f", "stop", "all", tenant="globex"), "finish"),
        (Flag("f", "tighten", "all"), "finish"),
    ],
)
def test_a_flag_ends_the_runs_it_is_meant_for_and_no_others(flag: Flag, reason: str) -> None:
    assert str(run(Flags([flag])).stop_reason) == reason


def test_a_disabled_tool_is_refused_when_it_is_asked_for_not_before(sink: OtlpSink) -> None:
    result = run(Flags([Flag("f-1", "disable", "tool", "step", by="maria", reason="it corrupts rows")]))
    assert (str(result.stop_reason), result.steps) == ("disabled:step", 1)
    assert "by maria: it corrupts rows" in result.output
    spans, events = recorded(sink, result.run_id)
    assert [span.name for span in spans] == ["invoke_agent worker", "chat scripted-model"]
    (event,) = named(events, "disabled")
    assert (event["tool"], event["by"], event["reason"], event["flag_id"]) == (
        "step",
        "maria",
        "it corrupts rows",
        "f-1",
    )


def test_a_stop_reaches_a_run_inside_a_tool_call(sink: OtlpSink) -> None:
    view, release = Flags(), threading.Event()

    def wait(job: str) -> str:
        run = current_run()
        assert run is not None
        view.flags.append(Flag("f-1", "stop", "run", run.run_id, by="maria", reason=f"wrong {job}"))
        release.wait(60)
        return "late"

    agent = Agent("worker", ScriptedModel([calls("wait", job="batch")]), [wait], control=Control(view))
    result = agent.run("Work")
    release.set()
    assert (str(result.stop_reason), result.tools["wait"].interrupted) == ("operator_kill", 1)
    (event,) = named(recorded(sink, result.run_id)[1], "kill")
    assert (event["by"], event["reason"], event["scope"], event["target"]) == (
        "maria",
        "wrong batch",
        "run",
        result.run_id,
    )


def test_a_stop_reaches_a_run_inside_a_model_call() -> None:
    view, release = Flags(), threading.Event()

    def think(_: ModelRequest, __: int) -> ModelResponse:
        view.flags.append(Flag("f", "stop", "all"))
        release.wait(60)
        return says("late")

    result = run(view, think)
    release.set()
    assert str(result.stop_reason) == "operator_kill"


def test_a_paused_run_waits_and_goes_on_when_the_flag_goes(sink: OtlpSink) -> None:
    view = Flags([Flag("f", "pause", "agent", "worker", by="maria", reason="release at noon")])
    lift = threading.Timer(0.15, view.flags.clear)
    lift.start()
    result = run(view)
    lift.join()
    assert str(result.stop_reason) == "finish"
    states = named(recorded(sink, result.run_id)[1], "state")
    assert (states[0]["after"], states[0].get("reason")) == (
        "waiting",
        "paused by maria: release at noon",
    )
    assert states[1]["after"] == "thinking"


def test_a_paused_run_can_still_be_stopped() -> None:
    view = Flags([Flag("f", "pause", "agent", "worker")])
    stop = threading.Timer(0.1, lambda: view.flags.append(Flag("g", "stop", "all")))
    stop.start()
    result = run(view)
    stop.join()
    assert (str(result.stop_reason), result.steps) == ("operator_kill", 0)


class Server:
    """The far end of a poller: answers at once, with the flags as they are."""

    def __init__(self) -> None:
        self.flags: list[dict[str, Any]] = []
        self.asked = threading.Event()

    def control(self, since: str | None = None, wait: float | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Return the flags."""
        self.asked.wait(0.02)
        return {"etag": str(len(self.flags)), "flags": list(self.flags)}


def test_a_flag_set_on_the_server_stops_a_run_under_way() -> None:
    server, release = Server(), threading.Event()

    def wait() -> None:
        run = current_run()
        assert run is not None
        server.flags.append({"id": "f", "action": "stop", "scope": "run", "target": run.run_id, "by": "maria"})
        release.wait(60)

    with ControlPoller(server) as poller:
        agent = Agent("worker", ScriptedModel([calls("wait")]), [wait], control=Control(poller, required=True))
        assert poller.wait_for_first(60)
        result = agent.run("Work")
    release.set()
    assert str(result.stop_reason) == "operator_kill"
    assert "by maria: no reason given" in result.output


@pytest.mark.parametrize(
    ("old", "reason"), [(29.0, "finish"), (31.0, "disabled:control"), (float("inf"), "disabled:control")]
)
def test_where_news_is_required_a_run_stops_when_it_is_too_old(old: float, reason: str) -> None:
    assert str(run(Flags(old=old), required=True).stop_reason) == reason


def test_where_news_is_not_required_a_server_that_is_away_stops_nobody() -> None:
    assert str(run(Flags(old=float("inf")), required=False).stop_reason) == "finish"


def test_without_news_the_flags_last_heard_of_hold() -> None:
    assert str(run(Flags([Flag("f", "stop", "all")], old=1e6)).stop_reason) == "operator_kill"
