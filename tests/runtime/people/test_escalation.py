"""When a run is handed to a person: how sure it is, how often it failed, where a limit ended it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError, ErrorType
from spanhouse_runtime.guard import Guard, ToolAsk
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.people import Band, Bands, EscalationRules
from spanhouse_runtime.policy import Policy

OPEN = Policy(allow=("*",))


@pytest.mark.parametrize(
    ("confidence", "band"),
    [
        (1.0, Band.ACT),
        (0.91, Band.ACT),
        (0.9, Band.REVIEW),
        (0.7, Band.REVIEW),
        (0.69, Band.DRAFT),
        (0.5, Band.DRAFT),
        (0.49, Band.ESCALATE),
        (0.0, Band.ESCALATE),
        (-0.1, Band.ESCALATE),
        (1.1, Band.ESCALATE),
        (math.nan, Band.ESCALATE),
        (math.inf, Band.ESCALATE),
    ],
)
def test_the_four_bands(confidence: float, band: Band) -> None:
    """The published borders; what is no confidence is none."""
    assert Bands().of(confidence) is band


@given(st.floats(0, 1), st.floats(0, 1))
def test_who_is_surer_may_do_no_less(one: float, other: float) -> None:
    """Bands are in order."""
    order = list(Band)
    low, high = sorted((one, other))
    assert order.index(Bands().of(high)) <= order.index(Bands().of(low))


def test_bands_out_of_order_are_refused() -> None:
    """A configuration that cannot be meant."""
    with pytest.raises(ConfigurationError, match="draft <= review <= act"):
        Bands(act=0.5, review=0.7)


def test_a_sure_decision_is_made_and_one_in_between_is_queued_for_review(sink: OtlpSink) -> None:
    """Both go on; the review names the decision."""
    with Guard("a", policy=OPEN).run("job") as guarded:
        assert guarded.people.decide("reply", 0.95, options=["reply", "close"]) is Band.ACT
        assert guarded.people.decide("close", 0.8) is Band.REVIEW
    events = recorded(sink, guarded.run.run_id)[1]
    assert [event["band"] for event in named(events, "decision")] == ["act", "review"]
    (review,) = named(events, "review")
    assert review["decision_id"] == named(events, "decision")[1]["decision_id"]
    assert "correct" not in review or review["correct"] is None


def test_an_unsure_decision_ends_the_run_with_a_person(sink: OtlpSink) -> None:
    """Below a half nothing is done: one stop reason, one escalation."""
    with Guard("a", policy=OPEN).run("job") as guarded:
        guarded.people.decide("delete the account", 0.3)
    assert str(guarded.stopped) == "escalated"
    (event,) = named(recorded(sink, guarded.run.run_id)[1], "escalation")
    assert (event["kind"], "delete the account" in event["reason"]) == ("confidence", True)


def test_failures_in_a_row_hand_the_run_over_and_a_success_breaks_the_row(sink: OtlpSink) -> None:
    """Of whatever tools and errors."""
    guard = Guard("a", policy=OPEN, escalation=EscalationRules(failures=3), limits=Limits(equal_failures=9))
    with guard.run("job") as guarded:
        for number, works in enumerate([False, False, True, False, False, False]):
            permit = guarded.admit_tool(ToolAsk(f"tool{number}", {"n": number}))
            if works:
                permit.worked("fine")
            else:
                permit.failed(ErrorType.OTHER, f"error {number}")
    assert str(guarded.stopped) == "escalated"
    assert named(recorded(sink, guarded.run.run_id)[1], "escalation")[0]["kind"] == "failures"


def test_a_run_that_a_limit_ends_is_handed_over_and_keeps_its_reason(sink: OtlpSink) -> None:
    """Where the rules say so; without rules nobody is told."""
    for rules, told in ((EscalationRules(), ["limit"]), (None, [])):
        with Guard("a", policy=OPEN, escalation=rules, limits=Limits(max_tool_calls=1)).run("job") as guarded:
            guarded.admit_tool(ToolAsk("look", {"n": 1})).worked("fine")
            guarded.admit_tool(ToolAsk("look", {"n": 2}))
        assert str(guarded.stopped) == "max_tool_calls"
        assert [event["kind"] for event in named(recorded(sink, guarded.run.run_id)[1], "escalation")] == told


def test_an_agent_says_itself_that_a_person_is_needed(sink: OtlpSink) -> None:
    """Explicitly; later calls meet the same stop."""
    with Guard("a", policy=OPEN).run("job") as guarded:
        stop = guarded.people.escalate("the customer threatens to sue")
        raise stop
    assert str(guarded.stopped) == "escalated"
    (event,) = named(recorded(sink, guarded.run.run_id)[1], "escalation")
    assert (event["kind"], event["reason"]) == ("explicit", "the customer threatens to sue")
