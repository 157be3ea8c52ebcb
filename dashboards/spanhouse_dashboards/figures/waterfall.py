"""The run on a time axis: one bar a span, audit events on a lane above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import plotly.graph_objects as go

from spanhouse_dashboards import text
from spanhouse_dashboards.figures import base
from spanhouse_dashboards.meanings import span_class
from spanhouse_dashboards.tree import Row, is_error

MAX_BARS = 600
ROW_HEIGHT = 20
HEADER = 72
"""Pixels above the rows: the legend, then the time axis."""
BAR = 0.66
"""Height of a bar as a share of its row."""
LABELS = 0.3
"""Share of the width that the names take."""
MIN_SHARE = 0.006
"""Least width of a bar as a share of the axis: thinner ones could be neither seen nor clicked."""
LABEL_LENGTH = 60
STOPPING_EVENTS = frozenset({"policy.decision", "approval.denied", "approval.timeout", "budget.stop", "loop", "kill"})
"""Audit events that can end a run; they get a line through all rows, unless what they decided was to allow."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Seconds since the first span's start, `total` of them; an unfinished span lasts until `now`."""

    origin: datetime
    total: float
    now: datetime | None

    def place(self, at: datetime) -> float:
        return (at - self.origin).total_seconds()

    def width(self, row: Row) -> float:
        lasted = (_end(row, self.now) - _at(row.span["start"])).total_seconds()
        return max(lasted, self.total * MIN_SHARE)


def visible(rows: Sequence[Row], limit: int = MAX_BARS) -> list[Row]:
    """Return at most `limit` rows: all down to the greatest depth that fits, else the first ones in tree order."""
    if len(rows) <= limit:
        return list(rows)
    fitting: list[Row] = []
    for depth in range(max(row.depth for row in rows) + 1):
        candidate = [row for row in rows if row.depth <= depth]
        if len(candidate) > limit:
            break
        fitting = candidate
    return fitting if len(fitting) > limit // 4 else list(rows[:limit])


def waterfall(
    rows: Sequence[Row],
    events: Sequence[Mapping[str, Any]] = (),
    *,
    selected: str | None = None,
    now: datetime | None = None,
) -> go.Figure:
    """Return the figure; a click on a bar or an event carries `[span_id]` as `customdata`.

    Args:
        rows: rows of the span tree, at most about `MAX_BARS`.
        events: audit events of the run; their marks lie on the same axis.
        selected: span id to be outlined.
        now: until when an unfinished span is drawn; None draws it at its least width.
    """
    figure = base.canvas(
        height=ROW_HEIGHT * (len(rows) + 1) + HEADER,
        margin={"l": 4, "r": 8, "t": HEADER - 8, "b": 8},
        barmode="overlay",
        clickmode="event+select",
        showlegend=True,
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )
    if not rows:
        return figure
    origin = min(_at(row.span["start"]) for row in rows)
    ends = [_end(row, now) for row in rows] + [_at(event["time"]) for event in events]
    total = max(0.001, *((end - origin).total_seconds() for end in ends))
    axis = _Axis(origin, total, now)
    for name in base.CLASS_COLORS:
        _add_bars(figure, rows, name, axis, selected)
    _add_failures(figure, rows, axis)
    _add_events(figure, events, axis)
    _add_labels(figure, rows, events)
    figure.update_layout(
        xaxis={"range": [-total * 0.01, total * 1.03], "ticksuffix": " s", "side": "top", "domain": [LABELS, 1]},
        xaxis2={"range": [0, 1], "domain": [0, LABELS - 0.01], "visible": False, "fixedrange": True, "anchor": "y"},
    )
    figure.update_yaxes(range=[len(rows) - 0.5, -1.6], visible=False)
    return figure


def _add_labels(figure: go.Figure, rows: Sequence[Row], events: Sequence[Mapping[str, Any]]) -> None:
    """Write the names as a column of their own: an axis sets its labels flush right, which hides the depth."""
    names = [base.plain(text.shortened(row.span.get("name"), LABEL_LENGTH)) for row in rows]
    figure.add_trace(
        go.Scatter(
            x=[*([0.0] if events else []), *(min(row.depth, 10) * 0.05 for row in rows)],
            y=[*([-1] if events else []), *range(len(rows))],
            text=[*(["<i>audit events</i>"] if events else []), *names],
            customdata=[*([[None]] if events else []), *([row.span["span_id"]] for row in rows)],
            mode="text",
            textposition="middle right",
            textfont={"size": 11},
            xaxis="x2",
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _add_bars(
    figure: go.Figure,
    rows: Sequence[Row],
    name: str,
    axis: _Axis,
    selected: str | None,
) -> None:
    picked = [(index, row) for index, row in enumerate(rows) if span_class(row.span.get("span_class")) == name]
    if not picked:
        return
    figure.add_trace(
        go.Bar(
            orientation="h",
            base=[axis.place(_at(row.span["start"])) for _, row in picked],
            x=[axis.width(row) for _, row in picked],
            y=[index for index, _ in picked],
            width=BAR,
            name=name,
            marker={
                "color": base.CLASS_COLORS[name],
                "opacity": [1.0 if selected in (None, row.span["span_id"]) else 0.78 for _, row in picked],
                "line": {
                    "color": [base.ORANGE if row.span["span_id"] == selected else "rgba(0,0,0,0)" for _, row in picked],
                    "width": [3 if row.span["span_id"] == selected else 0 for _, row in picked],
                },
                "pattern": {"shape": ["/" if _pending(row) else "" for _, row in picked]},
                "cornerradius": 2,
            },
            customdata=[[row.span["span_id"], _hover(row)] for _, row in picked],
            hovertemplate="%{customdata[1]}<extra></extra>",
            unselected={"marker": {"opacity": 0.78}},
        )
    )


def _add_failures(figure: go.Figure, rows: Sequence[Row], axis: _Axis) -> None:
    failed = [(index, row) for index, row in enumerate(rows) if is_error(row.span)]
    if failed:
        figure.add_trace(
            go.Scatter(
                x=[axis.place(_end(row, axis.now)) + axis.total * 0.012 for _, row in failed],
                y=[index for index, _ in failed],
                mode="markers",
                marker={"symbol": "x", "size": 8, "color": base.RED},
                name="failed",
                customdata=[[row.span["span_id"], _hover(row)] for _, row in failed],
                hovertemplate="%{customdata[1]}<extra></extra>",
                unselected={"marker": {"opacity": 1}},
            )
        )


def _add_events(figure: go.Figure, events: Sequence[Mapping[str, Any]], axis: _Axis) -> None:
    if not events:
        return
    figure.add_trace(
        go.Scatter(
            x=[axis.place(_at(event["time"])) for event in events],
            y=[-1] * len(events),
            mode="markers",
            marker={
                "symbol": ["diamond" if _stops(event) else "diamond-open" for event in events],
                "size": 9,
                "color": [base.RED if _stops(event) else base.GRAY for event in events],
            },
            name="audit event",
            customdata=[[event.get("span_id"), _event_hover(event)] for event in events],
            hovertemplate="%{customdata[1]}<extra></extra>",
            unselected={"marker": {"opacity": 1}},
        )
    )
    for event in events:
        if _stops(event):
            figure.add_vline(
                x=axis.place(_at(event["time"])),
                line={"color": base.RED, "width": 1, "dash": "dot"},
            )


def _stops(event: Mapping[str, Any]) -> bool:
    return event["name"] in STOPPING_EVENTS and event.get("decision") != "allow"


def _at(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _pending(row: Row) -> bool:
    return row.span.get("end") is None


def _end(row: Row, now: datetime | None) -> datetime:
    start = _at(row.span["start"])
    if row.span.get("end") is not None:
        return max(start, _at(row.span["end"]))
    return max(start, now) if now is not None else start


def _hover(row: Row) -> str:
    span = row.span
    lines = [f"<b>{base.plain(text.shortened(span.get('name'), 80))}</b>"]
    lines.append("not finished" if _pending(row) else text.duration(span.get("ms")))
    if row.tokens is not None:
        lines.append(f"{text.compact(row.tokens)} tokens")
    if row.cost_usd is not None:
        lines.append(text.usd(row.cost_usd))
    if is_error(span):
        lines.append("failed: " + base.plain(text.shortened(span.get("status_message") or span.get("error_type"), 120)))
    return "<br>".join(lines)


def _event_hover(event: Mapping[str, Any]) -> str:
    parts = [event["name"], event.get("decision"), event.get("tool"), event.get("status")]
    return "<br>".join(base.plain(part) for part in parts if part)
