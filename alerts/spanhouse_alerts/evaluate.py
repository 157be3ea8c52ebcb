"""Rules against figures, as pure functions: what to ask the metrics, and what the answers mean for each alert."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

from spanhouse_alerts.machine import Missing, Observation, Seen, Timing
from spanhouse_alerts.rules import BudgetRule, Defaults, RatioRule, Severity
from spanhouse_alerts.samples import Request, Sample
from spanhouse_alerts.windows import window_at


@dataclass(frozen=True, slots=True)
class Finding:
    """What one evaluation says about one alert.

    Attributes:
        labels: the alert's identity: rule, severity, dimensions, static labels; of budgets also window_start.
        severity: of the alert.
        observation: what the state machine is fed.
        since, until: the query window the figure comes from.
        sample: the figure itself; None where there is none.
        low, high: bounds of a ratio at the rule's confidence.
    """

    labels: Mapping[str, str]
    severity: Severity
    observation: Observation
    since: datetime
    until: datetime
    sample: Sample | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the metrics, and what of the rule it is asked for.

    Attributes:
        request: what to ask.
        labels: labels that every alert out of the answer carries.
        ends_at: when alerts out of the answer end by themselves; None for rolling windows.
    """

    request: Request
    labels: Mapping[str, str] = field(default_factory=dict)
    ends_at: datetime | None = None


def questions(rule: RatioRule | BudgetRule, now: datetime, query_offset: timedelta) -> list[Question]:
    """Return what to ask the metrics for one evaluation of a rule.

    A budget is asked about for its present window, and about the one before until ``settle`` has passed since its end,
    so that spend that arrives late still counts where it belongs.
    """
    until = now - query_offset
    if isinstance(rule, RatioRule):
        since = until - rule.window.rolling
        return [Question(Request(rule.metric, since, until, rule.by, rule.filters, rule.filter))]
    window = window_at(rule.window.cumulative, rule.window.tz, now)
    found = [window]
    if now - window.start < rule.settle:
        found.append(window_at(rule.window.cumulative, rule.window.tz, window.start - timedelta(microseconds=1)))
    return [
        Question(
            Request(
                rule.metric, each.start, min(each.end, max(until, each.start)), rule.per, rule.filters, rule.filter
            ),
            {"window_start": each.label},
            each.end + rule.settle,
        )
        for each in found
    ]


def findings(rule: RatioRule | BudgetRule, question: Question, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Yield what the answers to one question say, for every group that has data and every severity of the rule."""
    for sample in samples:
        labels = {"rule": rule.id, **rule.labels, **sample.labels, **question.labels}
        if isinstance(rule, RatioRule):
            yield _ratio(rule, question, sample, labels)
        else:
            yield from _budget(rule, question, sample, labels)


def timing(rule: RatioRule | BudgetRule, defaults: Defaults) -> Timing:
    """Return how long things must last for a rule's alerts."""
    step = max(timedelta(minutes=1), 2 * defaults.interval)
    restart = max(timedelta(hours=1), 4 * defaults.interval)
    if isinstance(rule, BudgetRule):
        return Timing(forget=defaults.forget_after, step=step, restart=restart, latched=True)
    keep = defaults.keep_firing_for if rule.keep_firing_for is None else rule.keep_firing_for
    return Timing(hold=rule.for_, keep=keep, forget=defaults.forget_after, step=step, restart=restart)


def without_data(rule: RatioRule | BudgetRule, defaults: Defaults) -> Observation:
    """Return the observation of an alert whose group has no data: kept by default, healthy where the rule says so."""
    if isinstance(rule, RatioRule) and (rule.no_data or defaults.no_data) == "ok":
        return Seen(rule.recovery, rule.compare.line, breached=False, recovered=True)
    return Missing()


def wilson(successes: float, total: float, confidence: float) -> tuple[float, float]:
    """Return the Wilson score interval of a share, two-sided at ``confidence``.

    Raises:
        ValueError: ``total`` is not positive: there is no share.
    """
    if total <= 0:
        msg = f"a share of {total:g} has no interval"
        raise ValueError(msg)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    # At shares of 0 and 1 a bound is the share itself but for rounding.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def _ratio(rule: RatioRule, question: Question, sample: Sample, labels: Mapping[str, str]) -> Finding:
    request = question.request
    labels = {**labels, "severity": rule.severity.value}
    total, counted = sample.denominator or 0, sample.numerator
    if sample.value is None or counted is None or total < rule.min_samples:
        return Finding(labels, rule.severity, Missing(), request.since, request.until, sample)
    low = high = sample.value
    if rule.confidence is not None:
        low, high = wilson(counted, total, rule.confidence)
    line, recovery = rule.compare.line, rule.recovery
    if rule.compare.above is not None:
        breached, recovered = low > line, sample.value <= recovery
    else:
        breached, recovered = high < line, sample.value >= recovery
    seen = Seen(sample.value, line, breached=breached, recovered=recovered)
    return Finding(labels, rule.severity, seen, request.since, request.until, sample, low, high)


def _budget(rule: BudgetRule, question: Question, sample: Sample, labels: Mapping[str, str]) -> Iterator[Finding]:
    request = question.request
    for threshold in rule.thresholds:
        line = float(rule.amount) * float(threshold.at)
        named = {**labels, "severity": threshold.severity.value}
        observation: Observation = Missing()
        if sample.value is not None:
            breached = sample.value >= line
            observation = Seen(sample.value, line, breached=breached, recovered=not breached, ends_at=question.ends_at)
        yield Finding(named, threshold.severity, observation, request.since, request.until, sample)
