"""The Overview's cards: which metrics, what they mean, and which runs stand behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanhouse_dashboards import text

Points = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Card:
    """One headline metric; `behind` are the Runs-page filters that show the runs its number is about."""

    metric: str
    label: str
    meaning: str
    behind: tuple[tuple[str, str], ...]
    link: str
    second: str = ""


CARDS = (
    Card(
        "completion_rate",
        "Completed",
        "Ended runs that did what they were for: outcome success where one is known, else stop reason finish "
        "without a hand-over.",
        (("status", "ended"), ("completed", "false")),
        "Runs that did not",
    ),
    Card(
        "autonomous_completion_rate",
        "Completed without a person",
        "Completed and never handed to a person, of all ended runs.",
        (("status", "ended"), ("escalated", "false")),
        "Never handed over",
    ),
    Card(
        "tokens_per_run_p50",
        "Tokens per run",
        "Median of input plus output tokens of a run; beside it the 95th percentile.",
        (("sort", "-tokens"),),
        "Runs by tokens",
        second="tokens_per_run_p95",
    ),
    Card(
        "cost",
        "Cost",
        "Sum of the runs' known costs in US dollars; a model without a price counts as unknown, not as 0.",
        (("sort", "-cost_usd"),),
        "Runs by cost",
    ),
    Card(
        "tool_error_rate",
        "Tool errors",
        "Failed tool calls of all tool calls; every attempt is a call.",
        (("sort", "-tool_errors"),),
        "Runs by tool errors",
    ),
    Card(
        "loop_rate",
        "Runs in a loop",
        "Ended runs that made the same tool call at least three times in a row.",
        (("sort", "-loops"),),
        "Runs by loops",
    ),
    Card(
        "policy_deny_rate",
        "Denied by policy",
        "Tool calls a policy refused, of all requested tool calls.",
        (("sort", "-policy_denials"),),
        "Runs by denials",
    ),
    Card(
        "runs_active", "Running now", "Runs that have started and not ended.", (("status", "running"),), "Running runs"
    ),
)
NAMES = tuple(name for card in CARDS for name in (card.metric, card.second) if name)


def overall(points: Points, metric: str) -> Mapping[str, Any] | None:
    """Return the point of a metric over the whole window, or None where the API sent none."""
    return next((point for point in points if point["metric"] == metric), None)


def series(points: Points, metric: str) -> list[Mapping[str, Any]]:
    """Return a metric's points in time order."""
    return sorted((point for point in points if point["metric"] == metric), key=lambda point: str(point["start"]))


def sparkline(points: Points, metric: str) -> list[float] | None:
    """Return the known values in time order, or None where fewer than two are known: no line is drawn of a guess."""
    known = [float(point["value"]) for point in series(points, metric) if point["value"] is not None]
    return known if len(known) > 1 else None


def link_label(card: Card, point: Mapping[str, Any] | None) -> str:
    """Return the words of a card's link: the counts behind the number where they are known, and what it leads to."""
    counts = counted(point) if point is not None else ""
    return f"{counts} · {card.link}" if counts else card.link


def counted(point: Mapping[str, Any]) -> str:
    """Return what was counted: `112 of 118` for a ratio, `118 runs` for a sum or quantile, else nothing."""
    numerator, denominator = point.get("numerator"), point.get("denominator")
    if denominator is None:
        return ""
    if point["unit"] in text.RATIO_UNITS:
        return "" if numerator is None else f"{text.count(numerator)} of {text.count(denominator)}"
    return "1 run" if denominator == 1 else f"{text.count(denominator)} runs"


ESTIMATED = "estimated from sampled runs"


def evidence(point: Mapping[str, Any] | None) -> str:
    """Return what a number rests on: `112 of 118 · 95% interval 89.3% to 97.4%`, or as much of it as is known.

    A number that is estimated from sampled runs says so.
    """
    if point is None or point["value"] is None:
        return "no data in this window"
    parts, unit = [counted(point)], str(point["unit"])
    if point.get("low") is not None and point.get("high") is not None:
        parts.append(f"95% interval {text.quantity(point['low'], unit)} to {text.quantity(point['high'], unit)}")
    if point.get("sampled"):
        parts.append(ESTIMATED)
    return " · ".join(part for part in parts if part)


def stop_reasons(points: Points) -> dict[str, int]:
    """Return how many runs ended for each reason, subjects kept apart, from points of `stop_reason_share`."""
    out: dict[str, int] = {}
    for point in points:
        if point["numerator"]:
            reason = stop_reason(point)
            out[reason] = out.get(reason, 0) + int(point["numerator"])
    return out


def stop_reason(point: Mapping[str, Any]) -> str:
    """Return the stop reason a point of `stop_reason_share` is about."""
    code, subject = point["group"].get("stop_code") or "unknown", point["group"].get("stop_subject")
    return f"{code}:{subject}" if subject else str(code)
