"""Limits of a run in progress: an operator lowers and raises them, and the trail says who did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.limits import CHANGEABLE, Limits, LimitsInForce
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Policy


def guard(**limits: float) -> Guard:
    return Guard("worker", policy=Policy(allow=("*",)), limits=Limits.model_validate(limits), prices=Price(10, 10))


def test_a_tightened_limit_holds_from_the_next_call_and_is_written_down_once(sink: OtlpSink) -> None:
    with guard(max_tool_calls=10).run("job") as guarded:
        for n in range(3):
            with guarded.tool("look", {"n": n}) as call:
                call.result("seen")
            guarded.tighten({"max_tool_calls": 2}, by="ann", reason="too busy", flag_id="7")
    _, events = recorded(sink, guarded.run.run_id)
    assert named(events, "override") == [
        {
            "by": "ann",
            "what": "limits",
            "reason": "too busy",
            "flag_id": "7",
            "before": {"max_tool_calls": 10},
            "after": {"max_tool_calls": 2},
        }
    ]
    assert named(events, "run.end")[0]["stop_reason"] == "max_tool_calls"
    assert guarded.books.ledger.report()["max_tool_calls"] == {"limit": 2, "used": 2}


def test_a_limit_that_was_open_can_be_set_while_the_run_goes(sink: OtlpSink) -> None:
    with guard().run("job") as guarded:
        guarded.tighten({"max_usd": 0.0001}, by="ann")
        with guarded.model("m", input_tokens=10, max_output_tokens=10):
            pytest.fail("20 tokens cost 0.0002 dollars")
    assert str(guarded.stopped) == "max_usd"


def test_a_raised_limit_lets_a_run_go_on_and_is_warned_of_again(sink: OtlpSink) -> None:
    with guard(max_tool_calls=2).run("job") as guarded:
        for n in range(4):
            if n == 2:
                guarded.loosen({"max_tool_calls": 4}, by="ann", reason="nearly there")
            with guarded.tool("look", {"n": n}) as call:
                call.result("seen")
    _, events = recorded(sink, guarded.run.run_id)
    assert [(e["limit"], e["used"]) for e in named(events, "limit.near")] == [(2, 2), (4, 4)]
    assert named(events, "override")[0]["after"] == {"max_tool_calls": 4}


def test_what_a_flag_tightened_is_as_before_once_the_flag_is_gone(sink: OtlpSink) -> None:
    with guard(max_steps=9).run("job") as guarded:
        guarded.tighten({"max_steps": 5}, by="ann", flag_id="1")
        guarded.tighten({"max_steps": 3}, by="bob", flag_id="2")
        guarded.loosen({"max_steps": 12}, by="ann")
        assert guarded.limits.max_steps == 3
        guarded.loosen(by="bob", flag_id="2")
        assert guarded.limits.max_steps == 5
        guarded.loosen(by="ann", flag_id="1")
        assert guarded.limits.max_steps == 12


@pytest.mark.parametrize("limits", [{"max_stpes": 3}, {"max_steps": 0}, {"max_usd": float("nan")}, {"warn_at": 0.1}])
def test_a_change_that_cannot_be_meant_changes_nothing(sink: OtlpSink, limits: dict[str, float]) -> None:
    with guard().run("job") as guarded:
        with pytest.raises(ConfigurationError, match=next(iter(limits))):
            guarded.tighten(limits, by="ann")
        assert guarded.limits == Limits()
    assert named(recorded(sink, guarded.run.run_id)[1], "override") == []


CHANGES = st.dictionaries(st.sampled_from(CHANGEABLE), st.integers(1, 50))


@given(st.lists(st.tuples(st.sampled_from(["tighten", "lift", "raise"]), st.sampled_from("ab"), CHANGES), max_size=8))
def test_no_limit_in_force_is_looser_than_any_flag_that_tightens_it(
    steps: list[tuple[str, str, dict[str, int]]],
) -> None:
    limits = LimitsInForce(Limits(max_steps=20, max_usd=20))
    flags: dict[str, dict[str, int]] = {}
    for what, flag, said in steps:
        if what == "tighten":
            limits.tighten(said, flag)
            flags[flag] = said
        elif what == "lift":
            limits.lift(flag)
            flags.pop(flag, None)
        else:
            before = limits.now
            assert all(is_ >= was for was, is_ in limits.raise_to(said).values() if was is not None and is_ is not None)
            assert (limits.now.max_tokens is None) == (before.max_tokens is None)
    for tightened in flags.values():
        assert all(getattr(limits.now, name) <= value for name, value in tightened.items())
