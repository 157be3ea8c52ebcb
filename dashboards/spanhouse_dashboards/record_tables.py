"""Tables of a run's audit events and steps, times counted from the run's start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import columns, text
from spanhouse_dashboards.span_detail import offset_ms

Json = Mapping[str, Any]


def audit(events: Sequence[Json], run_start: str, *, key: str = "audit") -> None:
    """Show audit events in order: when, what, decided how, about what."""
    if not events:
        st.caption("No audit event was recorded. Runs of the Spanhouse runtime and SDK record them; others do not.")
        return
    frame = pl.DataFrame(
        {
            "At": ["+" + text.duration(max(0.0, offset_ms(event["time"], run_start))) for event in events],
            "Event": [event["name"] for event in events],
            "Decision": columns.texts(events, "decision"),
            "Tool": columns.texts(events, "tool"),
            "Status": columns.texts(events, "status"),
            "Step": columns.counts(events, "step"),
            "Took": pl.Series([_took(event["duration_ms"]) for event in events], dtype=pl.String),
            "Data": [json.dumps(event["data"] or {}, ensure_ascii=False) for event in events],
            "No.": columns.counts(events, "seq"),
        }
    )
    st.dataframe(
        known_columns(frame),
        key=key,
        hide_index=True,
        placeholder=text.UNKNOWN,
        alt="Audit events of the run in order",
        column_config={"Data": st.column_config.TextColumn(width=520), "At": st.column_config.TextColumn(width=90)},
    )


def steps(found: Sequence[Json], run_start: str, *, key: str = "steps") -> str | None:
    """Show steps in order; return the span of the one that was chosen."""
    if not found:
        st.caption("No step is known of this run.")
        return None
    frame = pl.DataFrame(
        {
            "Step": columns.counts(found, "number"),
            "At": ["+" + text.duration(max(0.0, offset_ms(step["started_at"], run_start))) for step in found],
            "Kind": columns.texts(found, "kind"),
            "Tool or model": pl.Series([step["tool"] or step["model"] for step in found], dtype=pl.String),
            "Status": columns.texts(found, "status"),
            "Decision": columns.texts(found, "decision"),
            "Attempt": columns.counts(found, "attempt"),
            "Took": pl.Series([_took(step["ms"]) for step in found], dtype=pl.String),
            "Tokens in": columns.counts(found, "input_tokens"),
            "Tokens out": columns.counts(found, "output_tokens"),
            "Cost": columns.numbers(found, "cost_usd"),
            "Error": pl.Series(
                [step["error_message"] or step["error_type"] or None for step in found], dtype=pl.String
            ),
        }
    )
    event = st.dataframe(
        known_columns(frame),
        key=key,
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Steps of the run in order; choose a cell to see its span",
        column_config={
            "Cost": st.column_config.NumberColumn(format="$%.5f"),
            "Error": st.column_config.TextColumn(width=320),
        },
    )
    cells = event["selection"]["cells"]
    return str(found[cells[0][0]]["span_id"]) if cells else None


def known_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table without the columns of which no value is known."""
    return frame.select([name for name in frame.columns if frame[name].null_count() < frame.height])


def _took(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else text.duration(milliseconds)
