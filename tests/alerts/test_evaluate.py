from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_alerts.evaluate import findings, questions, timing, wilson, without_data
from spanhouse_alerts.machine import Missing, Seen
from spanhouse_alerts.rules import BudgetRule, Defaults, RatioRule
from spanhouse_alerts.samples import Sample

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NONE = timedelta(0)


def ratio(**over: object) -> RatioRule:
    """Return a ratio rule, errors above 15 %, with some keys changed."""
    base = {
        "id": "tool-errors",
        "kind": "ratio",
        "metric": "tool_error_rate",
        "by": ["tool"],
        "window": {"rolling": "30m"},
        "min_samples": 20,
        "compare": {"above": 0.15},
        "severity": "page",
    }
    return RatioRule.model_validate({**base, **over})


def budget(**over: object) -> BudgetRule:
    """Return a budget rule of 10 dollars per tenant and day, with some keys changed."""
    base = {"id": "day", "kind": "budget", "metric": "spend", "amount": 10, "per": ["tenant"]}
    return BudgetRule.model_validate({**base, "window": {"cumulative": "day"}, **over})


def judge(rule: RatioRule, numerator: float, denominator: float) -> Seen | Missing:
    """Return what a ratio rule says of one figure."""
    sample = Sample({"tool": "search"}, numerator / denominator if denominator else None, numerator, denominator)
    (finding,) = findings(rule, questions(rule, NOW, NONE)[0], [sample])
    assert isinstance(finding.observation, Seen | Missing)
    return finding.observation


@pytest.mark.parametrize(
    ("numerator", "denominator", "breached"), [(5, 20, False), (8, 20, True), (25, 100, True), (16, 100, False)]
)
def test_a_ratio_fires_only_when_it_is_sure(numerator: int, denominator: int, breached: bool) -> None:  # noqa: FBT001
    """A quarter of 20 may be chance against a line of 15 %, a quarter of 100 is not: the lower bound decides."""
    seen = judge(ratio(), numerator, denominator)
    assert isinstance(seen, Seen)
    assert seen.breached is breached


def test_a_drop_is_judged_by_the_upper_bound() -> None:
    """Below a line, the whole interval must be below it."""
    rule = ratio(metric="completion_rate", compare={"below": 0.8})
    unsure, sure = judge(rule, 14, 20), judge(rule, 60, 100)
    assert isinstance(unsure, Seen)
    assert isinstance(sure, Seen)
    assert (unsure.breached, sure.breached) == (False, True)


def test_without_confidence_the_share_itself_decides() -> None:
    """`confidence: null` compares the plain share, which must be beyond the line and not on it."""
    rule = ratio(confidence=None)
    found = [judge(rule, n, 20) for n in (3, 4)]
    assert [isinstance(seen, Seen) and seen.breached for seen in found] == [False, True]


def test_recovery_needs_the_recovery_line() -> None:
    """Between the two lines an alert neither fires nor recovers."""
    rule = ratio(recover=0.10, confidence=None)
    seen = [judge(rule, n, 100) for n in (16, 12, 10)]
    assert [(s.breached, s.recovered) for s in seen if isinstance(s, Seen)] == [
        (True, False),
        (False, False),
        (False, True),
    ]


@pytest.mark.parametrize(("numerator", "denominator"), [(19, 19), (0, 0)])
def test_too_few_samples_are_no_data(numerator: int, denominator: int) -> None:
    """Below min_samples even a share of 100 % says nothing; no data is not 0."""
    assert judge(ratio(), numerator, denominator) == Missing()


@given(st.integers(1, 5_000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_holds_the_share(total: int, data: st.DataObject, confidence: float) -> None:
    """0 <= low <= share <= high <= 1, and more confidence widens the interval."""
    successes = data.draw(st.integers(0, total))
    low, high = wilson(successes, total, confidence)
    assert 0 <= low <= successes / total <= high <= 1
    wider = wilson(successes, total, 0.999)
    assert wider[0] <= low + 1e-12
    assert wider[1] >= high - 1e-12


def test_the_interval_is_wilsons() -> None:
    """Against published figures: 81 of 263 at 95 % is 0.2553 to 0.3662."""
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    with pytest.raises(ValueError, match="no interval"):
        wilson(0, 0, 0.95)


def test_a_rolling_window_ends_at_the_offset() -> None:
    """The query window reaches from now - offset back by the rule's window."""
    (question,) = questions(ratio(), NOW, timedelta(seconds=30))
    assert question.request.until == NOW - timedelta(seconds=30)
    assert question.request.since == NOW - timedelta(minutes=30, seconds=30)


def test_a_budget_warns_at_80_and_pages_at_100_percent() -> None:
    """The line belongs to the bad side: exactly 80 % warns, exactly 100 % pages."""
    rule = budget()
    (question,) = questions(rule, NOW, NONE)
    for spent, expected in [(7.99, [False, False]), (8.0, [True, False]), (9.99, [True, False]), (10.0, [True, True])]:
        found = list(findings(rule, question, [Sample({"tenant": "acme"}, spent)]))
        seen = [f.observation.breached for f in found if isinstance(f.observation, Seen)]
        assert (spent, seen) == (spent, expected)


def test_budget_alerts_are_told_apart_by_tenant_day_and_severity() -> None:
    """Tomorrow's 80 % is another alert than today's, as is another tenant's, as is the page."""
    rule = budget()
    (question,) = questions(rule, NOW, NONE)
    found = list(findings(rule, question, [Sample({"tenant": "acme"}, 9.0)]))
    assert [dict(f.labels) for f in found] == [
        {"rule": "day", "tenant": "acme", "window_start": "2026-11-20T00:00:00+00:00", "severity": severity}
        for severity in ("warn", "page")
    ]


@pytest.mark.parametrize(("now", "hours"), [("2026-03-29T10:00:00+00:00", 23), ("2026-10-25T10:00:00+00:00", 25)])
def test_a_budget_day_is_the_local_day(now: str, hours: int) -> None:
    """On days the clock changes, a Brussels budget covers 23 or 25 hours and asks from local midnight."""
    rule = budget(window={"cumulative": "day", "tz": "Europe/Brussels"}, settle="0s")
    (question,) = questions(rule, datetime.fromisoformat(now), NONE)
    assert question.ends_at is not None
    assert question.ends_at - question.request.since == timedelta(hours=hours)


def test_the_window_before_is_asked_about_until_it_has_settled() -> None:
    """Spend of 23:59 that arrives at 00:10 still counts for yesterday; at 00:15 yesterday is over."""
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    asked = questions(budget(), midnight + timedelta(minutes=14), NONE)
    assert [q.labels["window_start"][:10] for q in asked] == ["2026-11-21", "2026-11-20"]
    assert asked[1].request.until == midnight
    assert asked[1].ends_at == midnight + timedelta(minutes=15)
    assert len(questions(budget(), midnight + timedelta(minutes=15), NONE)) == 1


def test_an_offset_never_turns_a_new_window_around() -> None:
    """Just after midnight the offset lies in yesterday; today's window is then empty, not negative."""
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    today = questions(budget(), midnight + timedelta(seconds=5), timedelta(seconds=30))[0].request
    assert today.since == today.until == midnight


def test_no_data_is_kept_unless_the_rule_says_ok() -> None:
    """`no_data: ok` reads silence as health, the default keeps the alert; the rule goes before the defaults."""
    keep, ok = Defaults(), Defaults(no_data="ok")
    assert without_data(ratio(), keep) == Missing()
    healthy = without_data(ratio(), ok)
    assert isinstance(healthy, Seen)
    assert healthy.recovered
    assert without_data(ratio(no_data="keep"), ok) == Missing()
    assert without_data(budget(), ok) == Missing()


def test_timing_comes_from_the_rule_then_the_defaults() -> None:
    """keep_firing_for of the rule wins; budgets latch."""
    defaults = Defaults.model_validate({"keep_firing_for": "2m"})
    assert timing(ratio(**{"for": "1m"}), defaults).hold == timedelta(minutes=1)
    assert timing(ratio(), defaults).keep == timedelta(minutes=2)
    assert timing(ratio(keep_firing_for="0s"), defaults).keep == NONE
    assert timing(budget(), defaults).latched
