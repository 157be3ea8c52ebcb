"""Overview: how the agents do, why runs ended, which tools fail, what runs now."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import (
    address,
    columns,
    data,
    filter_bar,
    first_trace,
    headline,
    model_table,
    run_table,
    text,
    urls,
)
from spanhouse_dashboards.figures import stop_reasons as stop_figures
from spanhouse_dashboards.figures import tools as tool_figures
from spanhouse_dashboards.figures import trend as trend_figures

RUNNING_SHOWN = 10
CHART_HEIGHT = 330
NO_BAR = {"displayModeBar": False}
TRENDS = {
    "completion_rate": "Completed",
    "tool_error_rate": "Tool errors",
    "tokens_per_run_p95": "Tokens per run, p95",
    "cost": "Cost",
}
AGENT_COLUMNS = ("completion_rate", "autonomous_completion_rate", "tokens_per_run_p95", "cost", "tool_error_rate")


def cards(filters: dict[str, str]) -> None:
    """Show the headline numbers, each with its trend, its evidence and a link to the runs behind it."""
    with st.skeleton(height=330):
        points = data.metrics(headline.NAMES, filters)
        trend = data.metrics(headline.NAMES, filters, step=filter_bar.step(filters))
        with st.grid(4, min_column_width=230):
            for card in headline.CARDS:
                one_card(card, filters, points, trend)
        if any(point.get("sampled") for point in points):
            st.caption("Runs are sampled: figures are estimated from those that are kept, and say what they rest on.")


def one_card(card: headline.Card, filters: dict[str, str], points: headline.Points, trend: headline.Points) -> None:
    """Show one card."""
    point = headline.overall(points, card.metric)
    unit = str(point["unit"]) if point else ""
    value = text.quantity(point["value"], unit) if point else text.UNKNOWN
    if card.second:
        other = headline.overall(points, card.second)
        value = f"{value} · p95 {text.quantity(other['value'], unit) if other else text.UNKNOWN}"
    with st.container(border=True, gap=None, height="stretch"):
        st.metric(
            card.label,
            value,
            help=f"{card.meaning}\n\n{text.inert(headline.evidence(point))}",
            chart_data=headline.sparkline(trend, card.metric),
            chart_type="area",
        )
        behind = {**filters, **dict(card.behind)}
        if card.metric == "runs_active":
            behind.pop("since", None)
        st.page_link(
            urls.RUNS,
            label=text.inert(headline.link_label(card, point)),
            icon=":material/arrow_forward:",
            icon_position="right",
            query_params=urls.runs(behind),
        )


def reasons(filters: dict[str, str]) -> None:
    """Show why runs ended; a click on a bar lists those runs."""
    with st.container(border=True):
        st.subheader("Why runs ended", help="Each ended run has exactly one stop reason. Choose a bar to see its runs.")
        with st.skeleton(height=300):
            counts = headline.stop_reasons(data.metrics(("stop_reason_share",), filters))
            if not counts:
                st.caption("No run ended in this window.")
                return
            with st.container(height=CHART_HEIGHT, border=False):
                event = st.plotly_chart(
                    stop_figures.stop_reasons(counts),
                    key="stop_reasons",
                    on_select="rerun",
                    selection_mode="points",
                    config=NO_BAR,
                    alt="Ended runs by stop reason; the table of runs is one click away",
                )
            clicked = event["selection"]["points"]
            if clicked:
                reason = str(clicked[0]["customdata"][0])
                st.switch_page(urls.RUNS, query_params=urls.runs(filters, stop_reason=reason))


def trends(filters: dict[str, str]) -> None:
    """Show one metric over time with its interval."""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader("Over time", width="content")
            metric = address.menu("trend", TRENDS, width=220)
        with st.skeleton(height=300):
            points = data.metrics((metric,), filters, step=filter_bar.step(filters))
            st.plotly_chart(
                trend_figures.trend(headline.series(points, metric), label=TRENDS[metric], height=CHART_HEIGHT - 34),
                key="trend_figure",
                config=NO_BAR,
                alt=f"{TRENDS[metric]} over time",
            )
            st.caption("The band is the 95% interval. A gap is a time without data.")


def tools(filters: dict[str, str]) -> None:
    """Show calls, failures and times by tool; a click lists the runs that called it."""
    with st.container(border=True):
        st.subheader("Tools", help="Every attempt is a call. Choose a cell to see the runs that called the tool.")
        with st.skeleton(height=260):
            found = sorted(data.tools(filters), key=lambda tool: tool["calls"], reverse=True)
            if not found:
                st.caption("No tool was called in this window.")
                return
            table, figure = st.columns([3, 2], gap="medium")
            with table:
                picked = tool_table(found)
            with figure:
                st.caption("Error rate with 95% interval")
                st.plotly_chart(
                    tool_figures.error_rates(found), key="error_rates", config=NO_BAR, alt="Error rate by tool"
                )
            if picked is not None:
                st.switch_page(urls.RUNS, query_params=urls.runs(filters, tool=picked))


def tool_table(found: list[data.Json]) -> str | None:
    """Show the tools; return the one that was chosen."""
    frame = pl.DataFrame(
        {
            "Tool": [tool["tool"] for tool in found],
            "Calls": columns.counts(found, "calls"),
            "Errors": columns.counts(found, "errors"),
            "Error rate": columns.numbers(found, "error_rate"),
            "Denied": columns.counts(found, "denials"),
            "p50": [text.duration(tool["p50_ms"]) for tool in found],
            "p95": [text.duration(tool["p95_ms"]) for tool in found],
            "Runs": columns.counts(found, "runs"),
        }
    )
    event = st.dataframe(
        frame,
        key="tools",
        height="content",
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Tools by calls",
        column_config={"Error rate": st.column_config.NumberColumn(format="percent")},
    )
    cells = event["selection"]["cells"]
    return str(found[cells[0][0]]["tool"]) if cells else None


def models(filters: dict[str, str]) -> None:
    """Show calls, failures, tokens and cost by model; a click lists the runs that called it."""
    with st.container(border=True):
        st.subheader("Models", help="Choose a cell to see the runs that called the model.")
        with st.skeleton(height=180):
            found = data.models(filters)
            if not found:
                st.caption("No model was called in this window.")
                return
            picked = model_table.show(found)
            if picked is not None:
                st.switch_page(urls.RUNS, query_params=urls.runs(filters, model=picked))


def agents(filters: dict[str, str]) -> None:
    """Show the headline numbers agent by agent; a click lists the agent's runs."""
    with st.container(border=True):
        st.subheader("Agents", help="Choose a cell to see the agent's runs.")
        with st.skeleton(height=180):
            points = data.metrics(AGENT_COLUMNS, filters, by="agent")
            names = sorted({str(point["group"].get("agent") or "") for point in points})
            if not names:
                st.caption("No run ended in this window.")
                return
            value: dict[tuple[str, str], dict[str, Any]] = {
                (str(point["group"].get("agent") or ""), point["metric"]): point for point in points
            }

            def column(metric: str, field: str = "value") -> pl.Series:
                return pl.Series(
                    [value.get((name, metric), {}).get(field) for name in names], dtype=pl.Float64, strict=False
                )

            frame = pl.DataFrame(
                {
                    "Agent": pl.Series([name or None for name in names], dtype=pl.String),
                    "Ended runs": column("completion_rate", "denominator").cast(pl.Int64),
                    "Completed": column("completion_rate"),
                    "Without a person": column("autonomous_completion_rate"),
                    "Tokens p95": column("tokens_per_run_p95"),
                    "Cost": column("cost"),
                    "Tool errors": column("tool_error_rate"),
                }
            )
            event = st.dataframe(
                frame,
                key="agents",
                hide_index=True,
                placeholder=text.UNKNOWN,
                on_select="rerun",
                selection_mode="single-cell",
                alt="Headline numbers by agent",
                column_config={
                    "Agent": st.column_config.TextColumn(width=260),
                    "Completed": st.column_config.NumberColumn(format="percent"),
                    "Without a person": st.column_config.NumberColumn(format="percent"),
                    "Tool errors": st.column_config.NumberColumn(format="percent"),
                    "Tokens p95": st.column_config.NumberColumn(format="compact"),
                    "Cost": st.column_config.NumberColumn(format="$%.5f"),
                },
            )
            cells = event["selection"]["cells"]
            if cells and names[cells[0][0]]:
                st.switch_page(urls.RUNS, query_params=urls.runs(filters, agent=names[cells[0][0]]))


@st.fragment(run_every="5s")
def running(filters: dict[str, str]) -> None:
    """Show the runs that have not ended, renewed every five seconds."""
    with st.container(border=True), data.told():
        st.subheader("Running now", help="Renewed every five seconds.")
        asked = {name: value for name, value in filters.items() if name != "since"} | {"status": "running"}
        found = data.runs(asked, limit=RUNNING_SHOWN, cursor=None)["runs"]
        if found:
            run_table.show(found, key="running")
        else:
            st.caption("Nothing is running.")


with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
    st.title("Overview", anchor=False, width="content")
    filters = filter_bar.window()
with data.told():
    with st.grid(3, min_column_width=200):
        filters |= filter_bar.choices(("agent", "tenant", "environment"))
    if not data.runs({}, limit=1, cursor=None)["runs"]:
        first_trace.show(filtered=False)
        st.stop()
    cards(filters)
    left, right = st.columns(2, gap="medium")
    with left:
        reasons(filters)
    with right:
        trends(filters)
    tools(filters)
    models(filters)
    agents(filters)
    running(filters)
