"""Why runs ended, and how many started when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from spanhouse_dashboards import text
from spanhouse_dashboards.figures import base
from spanhouse_dashboards.meanings import FAMILIES, explain

ROW_HEIGHT = 30


def stop_reasons(counts: Mapping[str, int]) -> go.Figure:
    """Return one bar a stop reason, longest on top, coloured by family; a click carries the reason as `customdata`."""
    ordered = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    total = sum(counts.values())
    figure = base.canvas(height=max(120, ROW_HEIGHT * len(ordered) + 24), bargap=0.35, clickmode="event+select")
    widest = max(counts.values(), default=0)
    figure.add_trace(
        go.Bar(
            orientation="h",
            x=[number for _, number in ordered],
            y=[base.plain(reason) for reason, _ in ordered],
            marker={"color": [base.FAMILY_COLORS[explain(reason).family.name] for reason, _ in ordered]},
            text=[f"{text.count(number)}  ·  {text.percent(number / total)}" for _, number in ordered],
            textposition="outside",
            cliponaxis=False,
            customdata=[[reason, base.plain(explain(reason).sentence)] for reason, _ in ordered],
            hovertemplate="<b>%{y}</b><br>%{customdata[1]}<br>%{x} runs<extra></extra>",
            unselected={"marker": {"opacity": 1}},
        )
    )
    figure.update_xaxes(visible=False, range=[0, widest * 1.35 or 1])
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6)
    return figure


def runs_over_time(points: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return stacked bars of ended runs by family of stop reason.

    Args:
        points: points of `stop_reason_share` stepped over time; the count is their numerator.
    """
    figure = base.canvas(
        height=150,
        barmode="stack",
        bargap=0.12,
        showlegend=True,
        legend={"orientation": "h", "y": 1.25, "x": 0, "traceorder": "normal"},
    )
    by_family: dict[str, dict[str, float]] = {family.name: {} for family in FAMILIES}
    for point in points:
        family = explain(point["group"].get("stop_code")).family.name
        bucket = by_family[family]
        bucket[point["start"]] = bucket.get(point["start"], 0) + (point["numerator"] or 0)
    for family, buckets in by_family.items():
        if any(buckets.values()):
            figure.add_trace(
                go.Bar(
                    x=sorted(buckets),
                    y=[buckets[start] for start in sorted(buckets)],
                    name=family,
                    marker={"color": base.FAMILY_COLORS[family]},
                    hovertemplate=f"%{{y}} {family}<br>from %{{x|%Y-%m-%d %H:%M}}<extra></extra>",
                )
            )
    figure.update_yaxes(rangemode="tozero", nticks=4)
    return figure
