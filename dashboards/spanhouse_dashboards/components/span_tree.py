"""The span tree: fold, search, keyboard, one row a span; tells which span was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from spanhouse_dashboards import text
from spanhouse_dashboards.figures.base import CLASS_COLORS
from spanhouse_dashboards.meanings import span_class
from spanhouse_dashboards.tree import Row, is_error

_HERE = Path(__file__).parent
_HTML = """
<div class="tree">
  <div class="bar">
    <input type="search" placeholder="Search spans  ( / )" aria-label="Search spans">
    <button type="button" data-do="failures" aria-pressed="false">Failures</button>
    <button type="button" data-do="fold">Fold</button>
    <span class="count"></span>
  </div>
  <div class="row head" aria-hidden="true">
    <div class="name" style="padding-left:41px">span</div>
    <div class="wide">when</div><div class="number">time</div><div class="number">tokens</div>
    <div class="number wide">cost</div>
  </div>
  <div class="rows" role="tree" tabindex="0" aria-label="Spans of the run"><div class="space"></div></div>
</div>
"""
_component = st.components.v2.component(
    "spanhouse_span_tree",
    html=_HTML,
    css=(_HERE / "span_tree.css").read_text(encoding="utf-8"),
    js=(_HERE / "span_tree.js").read_text(encoding="utf-8"),
)


def span_tree(rows: Sequence[Row], *, selected: str | None, key: str, height: int = 560) -> str | None:
    """Show the tree; return the span id the reader chose since the last run of the script, else None."""
    answer = _component(
        key=key,
        data={"rows": packed(rows), "selected": selected, "colors": CLASS_COLORS, "height": height},
        on_selected_change=_told,
    )
    chosen = answer.get("selected")
    return None if chosen is None else str(chosen)


def _told() -> None:
    """Declare the trigger; the choice itself is read from the component's answer."""


def packed(rows: Sequence[Row]) -> list[list[Any]]:
    """Return the rows as the lists the script reads: compact, for five thousand go over the wire at once."""
    if not rows:
        return []
    origin = min(_at(row.span["start"]) for row in rows)
    last = max(_end(row, None) for row in rows)
    total = max(0.001, (last - origin).total_seconds())
    return [
        [
            row.span["span_id"],
            row.parent,
            row.depth,
            row.children,
            row.span.get("name") or "(no name)",
            span_class(row.span.get("span_class")),
            round((_at(row.span["start"]) - origin).total_seconds() / total, 5),
            round((_end(row, last) - _at(row.span["start"])).total_seconds() / total, 5),
            "running" if row.span.get("end") is None else text.duration(row.span.get("ms")),
            "" if row.tokens is None else text.compact(row.tokens),
            "" if row.cost_usd is None else text.usd(row.cost_usd),
            is_error(row.span),
            row.errors - is_error(row.span),
        ]
        for row in rows
    ]


def _at(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _end(row: Row, unfinished: datetime | None) -> datetime:
    start = _at(row.span["start"])
    return max(start, _at(row.span["end"]) if row.span.get("end") else unfinished or start)
