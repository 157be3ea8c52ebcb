"""What came in and what became of it, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go

from spanhouse_dashboards.figures import base

OUTCOMES: Final = {
    "stored": ("Stored", base.TEAL, ""),
    "duplicated": ("Sent twice", base.BLUE, "/"),
    "sampled_out": ("Sampled out", base.GRAY, "."),
    "rejected": ("Refused", base.RED, "x"),
}
"""What becomes of a record: its label, its colour, and a pattern for who cannot tell the colours apart."""

UNACCOUNTED: Final = ("Unaccounted", base.ORANGE, "+")
_MINUTE: Final = timedelta(minutes=1)
_BAR: Final = 48_000
"""Milliseconds of a bar's minute that it fills."""
_LEAST_MINUTES: Final = 30


def by_minute(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the ledger's lines summed over tenants, signals and sources: one a minute, oldest first, none left out."""
    sums: dict[datetime, dict[str, Any]] = {}
    for line in lines:
        minute = datetime.fromisoformat(line["minute"])
        found = sums.setdefault(minute, dict.fromkeys((*OUTCOMES, "received"), 0))
        for name in found:
            found[name] += line[name]
    if not sums:
        return []
    nothing = dict.fromkeys((*OUTCOMES, "received"), 0)
    steps = (max(sums) - min(sums)) // _MINUTE + 1
    minutes = [min(sums) + number * _MINUTE for number in range(steps)]
    return [{"minute": minute, **sums.get(minute, nothing)} for minute in minutes]


def unaccounted(minute: Mapping[str, Any]) -> int:
    """Return how many records of a minute nobody accounts for; more than 0 is a gap."""
    return int(minute["received"]) - sum(int(minute[name]) for name in OUTCOMES)


def ledger(minutes: Sequence[Mapping[str, Any]], *, height: int = 260) -> go.Figure:
    """Return a bar a minute, stacked by what became of the records; a gap stands out on top.

    Args:
        minutes: as `by_minute` gives them.
        height: pixels.
    """
    figure = base.canvas(height=height, hovermode="x unified", barmode="stack", bargap=0.15, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 0})
    starts = [minute["minute"] for minute in minutes]
    for name, (label, color, pattern) in OUTCOMES.items():
        _add(figure, starts, [minute[name] for minute in minutes], label, color, pattern)
    _add(figure, starts, [max(0, unaccounted(minute)) for minute in minutes], *UNACCOUNTED)
    figure.update_yaxes(rangemode="tozero")
    if starts:
        # A few minutes alone would be drawn as wide as the page.
        first = min(starts[0], starts[-1] - _LEAST_MINUTES * _MINUTE)
        figure.update_xaxes(range=[first - _MINUTE, starts[-1] + _MINUTE])
    return figure


def _add(figure: go.Figure, starts: list[datetime], counts: list[int], label: str, color: str, pattern: str) -> None:
    if any(counts):
        marker = {"color": color, "pattern": {"shape": pattern}}
        hover = f"%{{y:,}} {label.lower()}<extra></extra>"
        figure.add_trace(go.Bar(x=starts, y=counts, width=_BAR, name=label, marker=marker, hovertemplate=hover))
