"""What evaluators said of a run: each score beside its span, and evaluators that failed with their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import columns, text
from spanhouse_dashboards.record_tables import known_columns
from spanhouse_dashboards.span_detail import offset_ms
from spanhouse_dashboards.tree import is_error

Json = Mapping[str, Any]


def of_run(scores: Sequence[Json], spans: Sequence[Json]) -> list[dict[str, Any]]:
    """Return one row a score, and one for each evaluator's span that failed without giving one, in order of time.

    Keys: ``time``, ``name``, ``value``, ``label``, ``explanation``, ``error`` (None where the evaluator came to a
    verdict), ``span_id`` and ``about`` (the span's name); both are None for a score of the whole run.
    """
    names = {str(span["span_id"]): str(span["name"]) for span in spans}
    rows = [
        {
            **{key: score[key] for key in ("time", "name", "value", "label", "explanation", "span_id")},
            "error": score.get("error_type"),
            "about": names.get(str(score["span_id"])),
        }
        for score in scores
    ]
    said = {row["span_id"] for row in rows}
    rows += [
        {
            "time": span["end"] or span["start"],
            "name": span["name"],
            **dict.fromkeys(("value", "label", "explanation")),
            "error": span["status_message"] or span["error_type"] or "the span failed without a message",
            "span_id": span["span_id"],
            "about": span["name"],
        }
        for span in spans
        if span["span_class"] == "evaluator" and is_error(span) and span["span_id"] not in said
    ]
    return sorted(rows, key=lambda row: str(row["time"]))


def show(rows: Sequence[Json], run_start: str, *, more: bool, key: str = "scores") -> str | None:
    """Show the rows of `of_run`; return the span of the one that was chosen."""
    if not rows:
        st.caption("No evaluator scored this run: no evaluation event, and no score on its spans, is stored.")
        return None
    if more:
        st.caption(f"The first {text.count(len(rows))} scores; the API has the rest.")
    frame = pl.DataFrame(
        {
            "At": ["+" + text.duration(max(0.0, offset_ms(row["time"], run_start))) for row in rows],
            "Score": columns.texts(rows, "name"),
            "Value": columns.numbers(rows, "value"),
            "Label": columns.texts(rows, "label"),
            "Error": columns.texts(rows, "error"),
            "Explanation": columns.texts(rows, "explanation"),
            "About": pl.Series([row["about"] or row["span_id"] or "the run" for row in rows], dtype=pl.String),
        }
    )
    event = st.dataframe(
        known_columns(frame),
        key=key,
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="What evaluators said of the run; choose a cell to see the span",
        column_config={"Explanation": st.column_config.TextColumn(width=480)},
    )
    cells = event["selection"]["cells"]
    span_id = rows[cells[0][0]]["span_id"] if cells else None
    return None if span_id is None else str(span_id)
