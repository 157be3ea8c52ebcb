"""Near a limit a run may be eased, and one that stopped says plainly what is there and what is not."""

from __future__ import annotations

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.budget import Near
from spanhouse_runtime.easing import Ease
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.result import Tally
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.stopped_answer import Stopped, plain_answer


def look(page: int) -> str:
    """Look at a page."""
    return f"page {page}"


def send(to: str) -> str:
    """Send it."""
    return f"sent to {to}"


def test_a_cheaper_model_shorter_answers_and_other_instructions_take_over(sink: OtlpSink) -> None:
    told: list[Near] = []
    cheap = ScriptedModel([says("short")], name="small")

    def eased(near: Near) -> Ease:
        told.append(near)
        return Ease(model=cheap, max_output_tokens=50, instructions="Be brief.")

    first = ScriptedModel([calls("look", page=n) for n in range(4)], name="large")
    agent = Agent("desk", first, [look], limits=Limits(max_steps=5), instructions="Be thorough.", on_near_limit=eased)
    result = agent.run("look")
    assert (str(result.stop_reason), result.output) == ("finish", "short")
    assert [(near.code, near.limit, near.used) for near in told] == [(StopCode.MAX_STEPS, 5, 4)]
    (request,) = cheap.requests
    assert (request.max_output_tokens, request.messages[0].content) == (50, "Be brief.")
    spans, events = recorded(sink, result.run_id)
    assert [s.name for s in spans if s.name.startswith("chat")] == ["chat large"] * 4 + ["chat small"]
    why = "max_steps of run: 4 of 5 used"
    assert named(events, "fallback") == [{"first_choice": "large", "used": "small", "reason": why}]
    overrides = named(events, "override")
    assert [(o["by"], o["what"], o["reason"]) for o in overrides] == [
        ("on_near_limit", "limits", why),
        ("on_near_limit", "instructions", why),
    ]


def test_a_hook_that_fails_changes_nothing(sink: OtlpSink, caplog: pytest.LogCaptureFixture) -> None:
    def broken(near: Near) -> Ease:
        raise ValueError(near.code)

    model = ScriptedModel([*(calls("look", page=n) for n in range(4)), says("done")])
    result = Agent("desk", model, [look], limits=Limits(max_steps=5), on_near_limit=broken).run("look")
    assert str(result.stop_reason) == "finish"
    assert "on_near_limit failed for max_steps" in caplog.text


def test_a_stopped_run_says_what_is_saved_what_is_not_and_whom_to_name(sink: OtlpSink) -> None:
    model = ScriptedModel([calls("look", page=1), calls("look", page=2), calls("send", to="ann"), says("never")])
    policy = Policy(allow=("look",))
    result = Agent("desk", model, [look, send], policy=policy).run("look and send", request_id="req-7")
    assert result.output == (
        "Stopped before the task was finished: it asked for something it may not do (policy_deny:send; "
        "rule 'default': send is not on the allowlist).\n"
        "Done and saved, in 3 steps: look (2 times).\n"
        "Not done: send.\n"
        "If you need help, name the request req-7."
    )


def test_the_words_may_be_ones_own_and_plain_ones_stand_in_where_they_fail(sink: OtlpSink) -> None:
    def agent(words: object) -> str:
        model = ScriptedModel([calls("send", to="ann")])
        return Agent("desk", model, [send], policy=Policy(), last_answer=words).run("send").output  # type: ignore[arg-type]

    assert agent(lambda stopped: f"Sorry: {stopped.reason.code}.") == "Sorry: policy_deny."
    assert agent(lambda _: 1 / 0).startswith("Stopped before the task was finished")


@pytest.mark.parametrize(
    ("reason", "says_so"),
    [
        ("tool_unhealthy:http.get", "Unavailable at present: http.get."),
        ("rate_limited:search", "Unavailable at present: search."),
        ("disabled:acme", "Unavailable at present: acme."),
        ("model_error:unavailable", "Unavailable at present: the model."),
    ],
)
def test_what_does_not_answer_is_named(reason: str, says_so: str) -> None:
    assert says_so in plain_answer(Stopped(StopReason.parse(reason), "", 1, {})).splitlines()


def test_a_call_that_was_under_way_is_neither_done_nor_undone() -> None:
    answer = plain_answer(Stopped(StopReason(StopCode.OPERATOR_KILL), "", 2, {"pay": Tally(interrupted=1)}))
    assert "Nothing was done in 2 steps." in answer
    assert "Not known whether it had its effect: pay." in answer


@pytest.mark.parametrize("code", [code for code in StopCode if code is not StopCode.FINISH])
def test_every_stop_has_words(code: StopCode) -> None:
    answer = plain_answer(Stopped(StopReason(code, "x"), "why", 1, {}))
    assert len(answer.splitlines()) >= 2
    assert "why" in answer
