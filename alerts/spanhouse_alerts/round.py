"""One round of evaluation: rules, figures and remembered alerts in; new alerts, history and what to tell out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from spanhouse_alerts.evaluate import Finding, findings, questions, timing, without_data
from spanhouse_alerts.machine import Change, Failed, Observation, Phase, Seen, State, Step, Transition, end, step
from spanhouse_alerts.rules import BudgetRule, RatioRule, RuleSet, Severity
from spanhouse_alerts.samples import Samples
from spanhouse_alerts.state import Alert, History, alert_id_of
from spanhouse_alerts.wording import summarise

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Something receivers hear of: an alert that began, ended, or still fires.

    Attributes:
        change: ``firing`` or ``resolved``.
        finding: the figure behind it; None where the alert ended without one.
        repeats: when it was told before; None the first time.
    """

    alert: Alert
    change: Change
    reason: str
    finding: Finding | None
    repeats: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What a round came to.

    Attributes:
        alerts: alerts whose stored state changes, by id.
        history: every transition, in order.
        told: what receivers hear of.
        errors: why a rule could not be evaluated, or not for every group; by rule id.
    """

    alerts: dict[str, Alert] = field(default_factory=dict)
    history: list[History] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def evaluate_round(rule_set: RuleSet, samples: Samples, alerts: Mapping[str, Alert], now: datetime) -> Outcome:
    """Return what one evaluation of every rule comes to; nothing is stored or sent.

    Args:
        rule_set: the rules.
        samples: the figures; where reading them fails, the rule's alerts stay as they are and say so.
        alerts: those pending, firing or recovering, by id.
        now: the moment of the evaluation.
    """
    outcome = Outcome()
    for rule in rule_set.rules:
        mine = {key: alert for key, alert in alerts.items() if alert.rule == rule.id}
        stale = {key for key, alert in mine.items() if not _belongs(alert, rule)}
        for key in stale:
            _record(outcome, mine.pop(key), end(alerts[key].state, now, "the rule was changed"), None)
        _evaluate(outcome, rule, mine=mine, rule_set=rule_set, samples=samples, now=now)
    for alert in alerts.values():
        if rule_set.rule(alert.rule) is None:
            _record(outcome, alert, end(alert.state, now, "the rule was removed"), None)
    _repeat(rule_set, alerts, now, outcome)
    return outcome


def _evaluate(
    outcome: Outcome,
    rule: RatioRule | BudgetRule,
    *,
    mine: Mapping[str, Alert],
    rule_set: RuleSet,
    samples: Samples,
    now: datetime,
) -> None:
    times = timing(rule, rule_set.defaults)
    try:
        found = {alert_id_of(finding.labels): finding for finding in _read(rule, rule_set, samples, now)}
        unseen: Observation = without_data(rule, rule_set.defaults)
    except Exception as error:
        # Whatever a store or a metric can fail with: an alert must outlive it, and people must see it.
        log.exception("rule %s cannot be evaluated", rule.id)
        found, unseen = {}, Failed(f"{type(error).__name__}: {error}")
        outcome.errors[rule.id] = unseen.error
    active = set(mine)
    for key, alert in mine.items():
        finding = found.pop(key, None)
        result = step(alert.state, finding.observation if finding else unseen, now, times)
        _record(outcome, _worded(alert, rule, finding), result, finding)
        if result[0].phase is Phase.INACTIVE:
            active.discard(key)
    # The worst first, so that where there are too many alerts the cap keeps those that matter.
    for key, finding in sorted(found.items(), key=lambda item: _badness(rule, item[1])):
        alert = _worded(_new(key, rule, finding), rule, finding)
        result = step(alert.state, finding.observation, now, times)
        if result[0].phase is Phase.INACTIVE:
            continue
        if len(active) >= rule_set.defaults.max_alerts:
            cap = f"more than max_alerts ({rule_set.defaults.max_alerts}) alerts at once"
            outcome.errors[rule.id] = f"{cap}: the least bad are left out; raise max_alerts or use fewer dimensions"
            return
        active.add(key)
        _record(outcome, alert, result, finding)


def _read(rule: RatioRule | BudgetRule, rule_set: RuleSet, samples: Samples, now: datetime) -> Iterator[Finding]:
    for question in questions(rule, now, rule_set.defaults.query_offset):
        yield from findings(rule, question, samples.read(question.request))


def _record(outcome: Outcome, alert: Alert, result: Step, finding: Finding | None) -> None:
    state, transitions = result
    alert = replace(alert, state=state)
    window = (finding.since, finding.until) if finding else None
    for transition in transitions:
        alert = _marked(alert, transition)
        outcome.history.append(History(alert, transition, window))
        if transition.change in (Change.FIRING, Change.RESOLVED):
            outcome.told.append(Told(alert, transition.change, transition.reason, finding))
    outcome.alerts[alert.alert_id] = alert


def _marked(alert: Alert, transition: Transition) -> Alert:
    if transition.change is Change.FIRING:
        return replace(alert, told_at=transition.at)
    if transition.change is Change.RESOLVED:
        return replace(alert, resolved_at=transition.at)
    return alert


def _repeat(rule_set: RuleSet, alerts: Mapping[str, Alert], now: datetime, outcome: Outcome) -> None:
    paging = {_kin(alert) for alert in outcome.alerts.values() if alert.severity == "page" and _fires(alert)}
    for key, alert in list(outcome.alerts.items()):
        rule = rule_set.rule(alert.rule)
        if rule is None or key not in alerts or not _fires(alert) or alert.told_at is None:
            continue
        # Whoever was paged need not be reminded of the warning before it.
        if alert.severity == "warn" and _kin(alert) in paging:
            continue
        every = rule_set.route(alert.rule, _severity(alert)).repeat
        if every is not None and now - alert.told_at >= every:
            outcome.alerts[key] = replace(alert, told_at=now)
            outcome.told.append(Told(outcome.alerts[key], Change.FIRING, "still firing", None, alert.told_at))


def _fires(alert: Alert) -> bool:
    return alert.state.phase in (Phase.FIRING, Phase.RECOVERING)


def _kin(alert: Alert) -> str:
    return alert_id_of({**alert.labels, "severity": ""})


def _severity(alert: Alert) -> Severity:
    return Severity(alert.severity)


def _new(key: str, rule: RatioRule | BudgetRule, finding: Finding) -> Alert:
    return Alert(key, rule.id, rule.kind, finding.severity.value, finding.labels, State())


def _worded(alert: Alert, rule: RatioRule | BudgetRule, finding: Finding | None) -> Alert:
    if finding is None or not isinstance(finding.observation, Seen):
        return alert
    return replace(alert, summary=summarise(rule, finding))


def _badness(rule: RatioRule | BudgetRule, finding: Finding) -> float:
    if not isinstance(finding.observation, Seen):
        return float("inf")
    value = finding.observation.value
    return value if isinstance(rule, RatioRule) and rule.compare.below is not None else -value


def _belongs(alert: Alert, rule: RatioRule | BudgetRule) -> bool:
    """Return whether the rule as it is now could have raised this alert."""
    own = {"rule", "severity", *rule.dimensions, *rule.labels}
    if isinstance(rule, BudgetRule):
        own.add("window_start")
        severities = {threshold.severity for threshold in rule.thresholds}
    else:
        severities = {rule.severity}
    same_labels = all(alert.labels.get(name) == value for name, value in rule.labels.items())
    return set(alert.labels) == own and same_labels and _severity(alert) in severities and alert.kind == rule.kind
