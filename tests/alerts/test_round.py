from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spanhouse_alerts.round import Outcome, evaluate_round
from spanhouse_alerts.rules import RuleSet
from spanhouse_alerts.samples import Request, Sample
from spanhouse_alerts.state import Alert

if TYPE_CHECKING:
    from tests.alerts.conftest import Figures

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RATIO = {
    "id": "tool-errors",
    "kind": "ratio",
    "metric": "tool_error_rate",
    "by": ["tool"],
    "window": {"rolling": "30m"},
    "min_samples": 20,
    "compare": {"above": 0.15},
    "severity": "page",
    "keep_firing_for": "0s",
}
BUDGET = {
    "id": "day",
    "kind": "budget",
    "metric": "spend",
    "amount": 10,
    "per": ["tenant"],
    "window": {"cumulative": "day"},
}


def rules(*each: Mapping[str, object], **over: object) -> RuleSet:
    """Return a rule set of these rules with one receiver."""
    receivers = {"ops": {"apprise": "json://127.0.0.1"}}
    return RuleSet.model_validate({"version": 1, "receivers": receivers, "rules": list(each), **over})


class Course:
    """Rounds one after another, each seeing what the last one left."""

    def __init__(self, rule_set: RuleSet, figures: Figures) -> None:
        self.rules = rule_set
        self.figures = figures
        self.alerts: dict[str, Alert] = {}
        self.told: list[tuple[str, str]] = []

    def at(self, now: datetime) -> Outcome:
        """Evaluate once."""
        outcome = evaluate_round(self.rules, self.figures, self.alerts, now)
        after = {**self.alerts, **outcome.alerts}
        self.alerts = {key: alert for key, alert in after.items() if alert.state.phase.value != "inactive"}
        self.told += [(told.change.value, told.alert.severity) for told in outcome.told]
        return outcome


def test_a_budget_warns_once_and_pages_once_a_day(figures: Figures) -> None:
    """80 % warns, 100 % pages, each once; the next day starts anew."""
    course = Course(rules(BUDGET), figures)
    for minute, spent in enumerate([5, 8, 8.5, 9.9, 10, 12, 30]):
        figures.total("spend", spent, tenant="acme")
        course.at(NOON + minute * MINUTE)
    assert course.told == [("firing", "warn"), ("firing", "page")]
    figures.total("spend", 0.5, tenant="acme")
    course.at(NOON + timedelta(hours=12, minutes=16))
    assert sorted(course.told[2:]) == [("resolved", "page"), ("resolved", "warn")]
    figures.total("spend", 9, tenant="acme")
    course.at(NOON + timedelta(hours=13))
    assert course.told[4:] == [("firing", "warn")]


def test_a_leap_over_both_lines_tells_both(figures: Figures) -> None:
    """One huge run warns and pages in the same round, once each."""
    course = Course(rules(BUDGET), figures)
    figures.total("spend", 40, tenant="acme")
    course.at(NOON)
    course.at(NOON + MINUTE)
    assert sorted(course.told) == [("firing", "page"), ("firing", "warn")]


def test_late_spend_of_yesterday_is_told_once(figures: Figures) -> None:
    """Spend that arrives ten minutes after midnight fires yesterday's alert, which then ends by itself."""
    midnight = datetime(2026, 11, 21, tzinfo=UTC)

    class Late:
        def read(self, request: Request) -> Sequence[Sample]:
            return [Sample({"tenant": "acme"}, 11.0 if request.since < midnight else 0.1)]

    outcome = evaluate_round(rules(BUDGET), Late(), {}, midnight + 10 * MINUTE)
    assert {told.alert.labels["window_start"][:10] for told in outcome.told} == {"2026-11-20"}
    after = evaluate_round(rules(BUDGET), Late(), outcome.alerts, midnight + 15 * MINUTE)
    assert {(told.change.value, told.reason) for told in after.told} == {("resolved", "its window ended")}


def test_a_failing_store_ends_nothing_and_is_said(figures: Figures) -> None:
    """A query error keeps the alert firing, flags it, and names the rule and the reason."""
    course = Course(rules(RATIO, BUDGET), figures)
    figures.ratio("tool_error_rate", 30, 50, tool="search")
    course.at(NOON)
    figures.by_metric["tool_error_rate"] = ConnectionError("store is away")
    outcome = course.at(NOON + MINUTE)
    assert outcome.errors == {"tool-errors": "ConnectionError: store is away"}
    (alert,) = course.alerts.values()
    assert (alert.state.phase.value, alert.state.error) == ("firing", "ConnectionError: store is away")
    assert course.told == [("firing", "page")]


def test_a_group_that_vanishes_keeps_firing(figures: Figures) -> None:
    """No data is no recovery: the alert says so and goes on."""
    course = Course(rules(RATIO), figures)
    figures.ratio("tool_error_rate", 30, 50, tool="search")
    course.at(NOON)
    figures.by_metric["tool_error_rate"] = []
    course.at(NOON + MINUTE)
    (alert,) = course.alerts.values()
    assert (alert.state.phase.value, alert.state.no_data) == ("firing", True)


def test_groups_are_told_apart(figures: Figures) -> None:
    """Each tool has its own alert; one recovers while the other fires."""
    course = Course(rules(RATIO), figures)
    figures.by_metric["tool_error_rate"] = [
        Sample({"tool": "search"}, 0.6, 30, 50),
        Sample({"tool": "pay"}, 0.8, 40, 50),
        Sample({"tool": "mail"}, 0.02, 1, 50),
    ]
    course.at(NOON)
    figures.by_metric["tool_error_rate"] = [
        Sample({"tool": "search"}, 0.0, 0, 50),
        Sample({"tool": "pay"}, 0.8, 40, 50),
    ]
    outcome = course.at(NOON + MINUTE)
    assert [(told.change.value, told.alert.labels["tool"]) for told in outcome.told] == [("resolved", "search")]
    assert [alert.labels["tool"] for alert in course.alerts.values()] == ["pay"]


def test_healthy_groups_are_not_stored(figures: Figures) -> None:
    """A thousand tenants within budget leave no trace in the state."""
    figures.by_metric["spend"] = [Sample({"tenant": f"t{i}"}, 1.0) for i in range(1_000)]
    assert evaluate_round(rules(BUDGET), figures, {}, NOON).alerts == {}


def test_a_storm_is_capped_at_the_worst_and_said(figures: Figures) -> None:
    """Of more alerts than max_alerts the worst fire, the old ones stay, and the rule says that some are left out."""
    figures.by_metric["tool_error_rate"] = [Sample({"tool": f"t{i}"}, (30 + i) / 50, 30 + i, 50) for i in range(10)]
    course = Course(rules(RATIO, defaults={"max_alerts": 3}), figures)
    outcome = course.at(NOON)
    assert sorted(told.alert.labels["tool"] for told in outcome.told) == ["t7", "t8", "t9"]
    assert "max_alerts" in outcome.errors["tool-errors"]
    assert course.at(NOON + MINUTE).told == []


def test_a_rule_that_is_removed_or_changed_ends_its_alerts(figures: Figures) -> None:
    """Alerts of a rule that is gone, or that could not raise them any more, are resolved and say why."""
    figures.ratio("tool_error_rate", 30, 50, tool="search")
    for changed, reason in [
        (rules(BUDGET), "the rule was removed"),
        (rules({**RATIO, "by": []}), "the rule was changed"),
        (rules({**RATIO, "severity": "warn"}), "the rule was changed"),
        (rules({**RATIO, "labels": {"team": "x"}}), "the rule was changed"),
    ]:
        course = Course(rules(RATIO), figures)
        course.at(NOON)
        course.rules = changed
        outcome = course.at(NOON + MINUTE)
        assert [t.reason for t in outcome.told if t.change.value == "resolved"] == [reason]


def test_a_raised_budget_can_fire_at_its_new_line(figures: Figures) -> None:
    """After 80 of 100 the amount is raised to 200: the alert ends, and 160 warns anew the same day."""
    course = Course(rules({**BUDGET, "amount": 100}), figures)
    for minute, (amount, spent) in enumerate([(100, 80), (200, 81), (200, 159), (200, 160)]):
        course.rules = rules({**BUDGET, "amount": amount})
        figures.total("spend", spent, tenant="acme")
        course.at(NOON + minute * MINUTE)
    assert course.told == [("firing", "warn"), ("resolved", "warn"), ("firing", "warn")]


def test_repeats_come_in_time_and_a_page_silences_its_warning(figures: Figures) -> None:
    """With `repeat: 1h` a firing alert is told hourly; the warning of a budget that pages is not repeated."""
    course = Course(rules(BUDGET, routes=[{"to": ["ops"], "repeat": "1h"}]), figures)
    figures.total("spend", 8, tenant="acme")
    for minute in (0, 59, 60, 61):
        course.at(NOON + minute * MINUTE)
    assert course.told == [("firing", "warn"), ("firing", "warn")]
    figures.total("spend", 12, tenant="acme")
    for minute in (70, 121, 130, 131):
        course.at(NOON + minute * MINUTE)
    assert course.told[2:] == [("firing", "page"), ("firing", "page")]


def test_history_keeps_the_figure_and_its_window(figures: Figures) -> None:
    """Each transition remembers what was seen and over which stretch of time."""
    figures.ratio("tool_error_rate", 30, 50, tool="search")
    (entry,) = evaluate_round(rules(RATIO), figures, {}, NOON).history
    assert (entry.alert.state.value, entry.window) == (0.6, (NOON - 30 * MINUTE, NOON))
    assert entry.alert.summary == (
        "tool_error_rate of tool=search over the last 30m is 60 % (30 of 50); fires above 15 %"
    )
