"""Rules and alerts in plain English, for notices and pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from spanhouse_alerts.durations import format_duration
from spanhouse_alerts.evaluate import Finding
from spanhouse_alerts.machine import Seen
from spanhouse_alerts.rules import RESERVED_LABELS, BudgetRule, RatioRule


def describe(rule: RatioRule | BudgetRule) -> str:
    """Return what a rule watches for, in one sentence.

    Such as: warn when spend per tenant and day (UTC) reaches 80 % of $10.00, page at 100 %.
    """
    where = f" where {_pairs(rule.filters)}" if rule.filters else ""
    if isinstance(rule, BudgetRule):
        steps = [f"{threshold.severity} at {percent(threshold.at)}" for threshold in rule.thresholds]
        first = rule.thresholds[0]
        head = f"{first.severity} when {_named(rule.metric)}{_each(rule.per, rule.window.cumulative)}{where}"
        zone = f"({rule.window.tz})"
        text = f"{head} {zone} reaches {percent(first.at)} of {amount(rule.metric, float(rule.amount))}"
        return ", ".join([text, *steps[1:]])
    side = "above" if rule.compare.above is not None else "below"
    each = f" by {_and(rule.by)}" if rule.by else ""
    sure = f", {percent(rule.confidence)} sure" if rule.confidence is not None else ""
    held = f", for {format_duration(rule.for_)}" if rule.for_ > timedelta(0) else ""
    window = format_duration(rule.window.rolling)
    return (
        f"{rule.severity} when {rule.metric}{each}{where} over the last {window} is {side} "
        f"{percent(rule.compare.line)}{sure}, out of {rule.min_samples} or more{held}"
    )


def summarise(rule: RatioRule | BudgetRule, finding: Finding) -> str:
    """Return one alert in one sentence: what, for whom, how much, against which line."""
    seen = finding.observation
    who = _pairs(
        {name: value for name, value in finding.labels.items() if name not in RESERVED_LABELS | set(rule.labels)}
    )
    of = f" of {who}" if who else ""
    if not isinstance(seen, Seen):
        return f"{_named(rule.metric)}{of} has no data"
    if isinstance(rule, BudgetRule):
        share = percent(seen.value / float(rule.amount))
        since = finding.labels.get("window_start", "")
        return (
            f"{_named(rule.metric)}{of} since {since} is {amount(rule.metric, seen.value)}, {share} of "
            f"{amount(rule.metric, float(rule.amount))} ({finding.severity} at {amount(rule.metric, seen.threshold)})"
        )
    side = "above" if rule.compare.above is not None else "below"
    sample = finding.sample
    counts = ""
    if sample is not None and sample.numerator is not None and sample.denominator is not None:
        counts = f" ({sample.numerator:.0f} of {sample.denominator:.0f})"
    window = format_duration(rule.window.rolling)
    return (
        f"{rule.metric}{of} over the last {window} is {percent(seen.value)}{counts}; "
        f"fires {side} {percent(seen.threshold)}"
    )


def percent(share: float) -> str:
    """Return a share as percent with as many digits as it needs, at most one after the point.

    >>> percent(0.8)
    '80 %'
    """
    return f"{round(share * 100, 1):g} %"


def amount(metric: str, value: float) -> str:
    """Return an amount of a budget metric with its unit: dollars to the cent, tokens and runs whole."""
    return f"${value:,.2f}" if metric == "spend" else f"{value:,.0f} {metric.removesuffix('_spent')}"


def _named(metric: str) -> str:
    return {"tokens_spent": "tokens"}.get(metric, metric)


def _each(dimensions: tuple[str, ...], span: str) -> str:
    return f" per {_and((*dimensions, span))}"


def _and(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name}={'|'.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in values.items()
    )
