"""A table of runs in which a click on any cell opens the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import columns, text, urls
from spanhouse_dashboards.meanings import explain

PREVIEW_LENGTH = 140
RUNNING = "running"


def frame(runs: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return one row a run, columns in reading order; what is not known is missing, so that it is never shown as 0."""
    return pl.DataFrame(
        {
            "Ended by": [[run["stop_reason"] or run["status"] or "unknown"] for run in runs],
            "Asked": [text.shortened(run["input_preview"] or run["name"], PREVIEW_LENGTH) for run in runs],
            "Agent": columns.texts(runs, "agent"),
            "Model": columns.texts(runs, "model"),
            "Started": pl.Series([text.moment(run["started_at"]) for run in runs], dtype=pl.Datetime("us", "UTC")),
            "Time": [text.seconds(run["run_seconds"]) for run in runs],
            "Steps": columns.counts(runs, "steps"),
            "Tools": columns.counts(runs, "tool_calls"),
            "Errors": columns.counts(runs, "tool_errors"),
            "Tokens": pl.Series([total_tokens(run) for run in runs], dtype=pl.Int64),
            "Cost": columns.numbers(runs, "cost_usd"),
            "Outcome": columns.texts(runs, "outcome"),
            "Tenant": columns.texts(runs, "tenant"),
            "Request id": columns.texts(runs, "request_id"),
        }
    )


def total_tokens(run: Mapping[str, Any]) -> int | None:
    """Return input plus output tokens, or None where neither is known."""
    known = [run[name] for name in ("input_tokens", "output_tokens") if run[name] is not None]
    return sum(known) if known else None


def show(runs: Sequence[Mapping[str, Any]], *, key: str) -> None:
    """Show the runs; a click on a cell goes to the run's page."""
    reasons = sorted({run["stop_reason"] or run["status"] or "unknown" for run in runs})
    event = st.dataframe(
        frame(runs),
        key=key,
        height="content",
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Runs, newest first; choose a cell to open its run",
        column_config={
            "Ended by": st.column_config.MultiselectColumn(
                options=reasons, color=[_color(reason) for reason in reasons], width=180, help="Stop reason of the run"
            ),
            "Asked": st.column_config.TextColumn(width=230),
            "Started": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC", help="UTC"),
            "Time": st.column_config.TextColumn(alignment="right", help="Wall time of the run"),
            "Tokens": st.column_config.NumberColumn(format="compact", help="Input and output tokens"),
            "Cost": st.column_config.NumberColumn(format="$%.5f", help="US dollars; a dash is an unknown price"),
            "Errors": st.column_config.NumberColumn(help="Failed tool calls"),
        },
    )
    _open_chosen(event, runs)


def show_live(runs: Sequence[Mapping[str, Any]]) -> None:
    """Show runs that go on, in few columns; a click on a cell goes to the run's page."""
    frame_ = pl.DataFrame(
        {
            "Running": [text.shortened(run["input_preview"] or run["name"], PREVIEW_LENGTH) for run in runs],
            "Agent": columns.texts(runs, "agent"),
            "Since": pl.Series([text.moment(run["started_at"]) for run in runs], dtype=pl.Datetime("us", "UTC")),
            "State": columns.texts(runs, "state"),
            "Steps": columns.counts(runs, "steps"),
            "Spent": columns.numbers(runs, "cost_usd"),
        }
    )
    event = st.dataframe(
        frame_,
        key="live",
        height="content",
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Runs that go on now; choose a cell to open its run",
        column_config={
            "Running": st.column_config.TextColumn(width=330),
            "Since": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC", help="UTC"),
            "Spent": st.column_config.NumberColumn(format="$%.5f", help="US dollars; a dash is an unknown price"),
        },
    )
    _open_chosen(event, runs)


def _open_chosen(event: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> None:
    cells = event["selection"]["cells"]
    if cells:
        row, _column = cells[0]
        st.switch_page(urls.RUN, query_params=urls.run(str(runs[row]["run_id"])))


def _color(reason: str) -> str:
    return "blue" if reason == RUNNING else explain(reason).family.color
