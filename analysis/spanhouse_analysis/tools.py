"""The tools that agents called: how often, how well, how fast."""

from __future__ import annotations

from typing import Any, Final

from spanhouse_analysis.metrics import MetricQuery, Point, evaluate
from spanhouse_storage import Store
from spanhouse_storage.reads import RunFilter

_METRICS: Final = ("tool_error_rate", "policy_deny_rate", "runs", "tool_ms_p50", "tool_ms_p95")


def tools(store: Store, filters: RunFilter | None = None) -> list[dict[str, Any]]:
    """Return one row a tool, most called first, over the ended runs that pass the filter.

    Keys: ``tool``, ``calls`` (made), ``errors``, ``error_rate`` with its 95 % interval ``low`` and ``high``,
    ``denials`` (requested, never made), ``p50_ms``, ``p95_ms``, ``runs``, and ``sampled``, which says that the figures
    are estimated from sampled runs. A rate or time without calls is None.
    """
    found: dict[str, dict[str, Point]] = {}
    for point in evaluate(store, MetricQuery(_METRICS, by=["tool"], filters=filters or RunFilter())):
        found.setdefault(point.group["tool"], {})[point.metric] = point
    rows = [_row(tool, points) for tool, points in found.items()]
    return sorted(rows, key=lambda row: (-row["calls"], row["tool"]))


def _row(tool: str, points: dict[str, Point]) -> dict[str, Any]:
    rate, denied = points["tool_error_rate"], points["policy_deny_rate"]
    return {
        "tool": tool,
        "calls": _count(rate.denominator),
        "errors": _count(rate.numerator),
        "error_rate": rate.value,
        "low": rate.low,
        "high": rate.high,
        "denials": _count(denied.numerator),
        "p50_ms": points["tool_ms_p50"].value,
        "p95_ms": points["tool_ms_p95"].value,
        "runs": _count(points["runs"].value),
        "sampled": rate.sampled,
    }


def _count(figure: float | None) -> int:
    """Return a count as the whole number it is, or is nearest to where it is estimated."""
    return round(figure or 0)
