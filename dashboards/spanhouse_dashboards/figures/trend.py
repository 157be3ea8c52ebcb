"""A metric over time with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from spanhouse_dashboards import text
from spanhouse_dashboards.figures import base
from spanhouse_dashboards.headline import evidence


def trend(points: Sequence[Mapping[str, Any]], *, label: str, color: str = base.BLUE, height: int = 240) -> go.Figure:
    """Return one metric's line with a band between `low` and `high`.

    A bucket without data breaks the line: nothing was measured there, and that is no zero.

    Args:
        points: API metric points of one metric and one group, in time order.
        label: the metric's name in the hover text.
        color: hex colour of the line; the band is a tint of it.
        height: pixels.
    """
    figure = base.canvas(height=height, hovermode="x unified")
    unit = str(points[0]["unit"]) if points else ""
    for low_at, high_at in _stretches(points):
        part = points[low_at:high_at]
        if len(part) == 1:
            figure.add_trace(_lone_interval(part[0], color))
            continue
        starts = [point["start"] for point in part]
        figure.add_trace(
            go.Scatter(
                x=[*starts, *reversed(starts)],
                y=[*(point["high"] for point in part), *(point["low"] for point in reversed(part))],
                fill="toself",
                fillcolor=base.tinted(color, 0.18),
                line={"width": 0},
                hoverinfo="skip",
                name="interval",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[point["start"] for point in points],
            y=[point["value"] for point in points],
            mode="lines+markers",
            connectgaps=False,
            line={"color": color, "width": 2},
            marker={"size": 5, "color": color},
            name=label,
            customdata=[[_hover(point, unit)] for point in points],
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
    )
    if unit in text.RATIO_UNITS:
        figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    else:
        figure.update_yaxes(rangemode="tozero", tickprefix="$" if unit == "usd" else "")
    return figure


def _lone_interval(point: Mapping[str, Any], color: str) -> go.Scatter:
    """Return a single bucket's interval as an upright bar, for an area over one point has no width."""
    return go.Scatter(
        x=[point["start"], point["start"]],
        y=[point["low"], point["high"]],
        mode="lines",
        line={"color": base.tinted(color, 0.25), "width": 8},
        hoverinfo="skip",
        name="interval",
    )


def _stretches(points: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return the index ranges over which the interval is known without a gap."""
    out: list[tuple[int, int]] = []
    begin: int | None = None
    for index, point in enumerate(points):
        known = point.get("low") is not None and point.get("high") is not None
        if known and begin is None:
            begin = index
        if not known and begin is not None:
            out.append((begin, index))
            begin = None
    if begin is not None:
        out.append((begin, len(points)))
    return out


def _hover(point: Mapping[str, Any], unit: str) -> str:
    parts = [f"<b>{base.plain(text.quantity(point['value'], unit))}</b>"]
    return "<br>".join([*parts, base.plain(evidence(point))])
