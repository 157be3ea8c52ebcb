"""How often each tool fails, and how sure we are of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from spanhouse_dashboards import text
from spanhouse_dashboards.figures import base

ROW_HEIGHT = 30


def error_rates(tools: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return a dot with its interval for every tool, worst on top; a tool without a known rate has no dot."""
    ordered = sorted(tools, key=lambda tool: (tool["error_rate"] is not None, tool["error_rate"] or 0, tool["calls"]))
    figure = base.canvas(height=max(120, ROW_HEIGHT * len(ordered) + 44), clickmode="event+select")
    names = [base.plain(tool["tool"]) for tool in ordered]
    rates = [tool["error_rate"] for tool in ordered]
    figure.add_trace(
        go.Scatter(
            x=rates,
            y=names,
            mode="markers",
            cliponaxis=False,
            marker={"size": 11, "color": base.RED, "symbol": "circle"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [_beyond(tool, "high") for tool in ordered],
                "arrayminus": [_beyond(tool, "low") for tool in ordered],
                "color": base.GRAY,
                "thickness": 1.6,
                "width": 5,
            },
            customdata=[[tool["tool"], _hover(tool)] for tool in ordered],
            hovertemplate="<b>%{y}</b><br>%{customdata[1]}<extra></extra>",
            unselected={"marker": {"opacity": 1}},
        )
    )
    # Without this a category whose only point is unknown would not get a row, and the tool would be missing.
    figure.update_yaxes(categoryorder="array", categoryarray=names, range=[-0.6, len(names) - 0.4], ticklabelstandoff=6)
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _beyond(tool: Mapping[str, Any], end: str) -> float | None:
    if tool["error_rate"] is None or tool.get(end) is None:
        return None
    return abs(float(tool[end]) - float(tool["error_rate"]))


def _hover(tool: Mapping[str, Any]) -> str:
    return (
        f"{text.percent(tool['error_rate'])} failed: {text.count(tool['errors'])} of {text.count(tool['calls'])} calls"
        f"<br>interval {text.percent(tool.get('low'))} to {text.percent(tool.get('high'))}"
        f"<br>{text.count(tool['denials'])} denied"
    )
