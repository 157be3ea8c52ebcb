"""The top of a run: what it was, how it ended, what it used, what went wrong first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from spanhouse_dashboards import text, urls
from spanhouse_dashboards.meanings import explain
from spanhouse_dashboards.run_table import total_tokens

Json = Mapping[str, Any]
BUDGET_LABELS = {
    "max_steps": "Steps",
    "max_tool_calls": "Tool calls",
    "max_seconds": "Time",
    "max_usd": "Money",
    "max_tokens": "Tokens",
}


def title(run: Json) -> None:
    """Show the run's name, its badges, the sentence that says how it ended, and its ids."""
    st.title(text.inert(text.shortened(run["agent"] or run["name"] or "Run", 90)), anchor=False)
    meaning = explain(run["stop_reason"])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if run["status"] == "running":
            st.badge("running", icon=":material/progress_activity:", color="blue")
        else:
            reason = text.inert(run["stop_reason"] or "unknown")
            st.badge(reason, icon=meaning.family.icon, color=meaning.family.color, help=text.inert(meaning.sentence))
        outcome = run["outcome"] or "unknown"
        outcome_color = {"success": "green", "failure": "red"}.get(outcome, "gray")
        st.badge(f"outcome {text.inert(outcome)}", color=outcome_color)  # type: ignore[arg-type]
        if run["stop_reason_source"] == "inferred":
            st.badge("reason inferred", color="gray", help="The agent did not report a reason; its spans imply it.")
        if run["escalated"]:
            st.badge("escalated", icon=":material/person_raised_hand:", color="blue")
        if run["resumes"]:
            st.badge(
                "resumed once" if run["resumes"] == 1 else f"resumed {run['resumes']} times",
                icon=":material/replay:",
                color="gray",
            )
        st.text(f"{meaning.sentence}", width="content")
    if run["input_preview"]:
        st.text(text.shortened(run["input_preview"], 300))
    ids = (("Run", "run_id"), ("Request", "request_id"), ("Trace", "trace_id"), ("Session", "session_id"))
    with st.grid(4, min_column_width=240):
        for label, name in ids:
            with st.container(gap=None):
                st.caption(label)
                if run[name]:
                    st.code(str(run[name]), language=None)
                else:
                    st.text("unknown")


def links(run: Json) -> None:
    """Show the ways on: the same agent, user, session, request."""
    with st.container(horizontal=True, gap="medium"):
        if run["agent"]:
            st.page_link(
                urls.RUNS, label="Runs of this agent", icon=":material/smart_toy:",
                query_params=urls.runs({"agent": run["agent"]}),
            )  # fmt: skip
        if run["stop_reason"]:
            st.page_link(
                urls.RUNS, label="Runs that ended alike", icon=":material/flag:",
                query_params=urls.runs({"stop_reason": run["stop_reason"]}),
            )  # fmt: skip
        for name, label in (("session_id", "This session"), ("user_id", "This user")):
            if run[name]:
                st.page_link(
                    urls.RUNS, label=label, icon=":material/person:",
                    query_params=urls.runs({name: run[name]}),
                )  # fmt: skip
        st.page_link(
            urls.TRIAGE,
            label="Triage",
            icon=":material/emergency:",
            query_params={"id": run["request_id"] or run["run_id"]},
        )


def facts(run: Json, now: datetime) -> None:
    """Show the numbers of the run in one strip; what is not known is a dash."""
    lasted = run["run_seconds"]
    if lasted is None and run["status"] == "running" and (started := text.moment(run["started_at"])):
        lasted = (now - started).total_seconds()
    tools = f"{text.count(run['tool_calls'])}"
    strip = (
        ("Started", text.clock(run["started_at"]).removesuffix(" UTC")[5:], text.clock(run["started_at"])),
        ("Duration", text.seconds(lasted), "Wall time; of a running run, until now."),
        ("Cost", text.usd(run["cost_usd"]), _cost_help(run)),
        ("Tokens", text.compact(total_tokens(run)), _token_help(run)),
        ("Steps", text.count(run["steps"]), "Turns of the agent's loop."),
        ("Model calls", text.count(run["model_calls"]), f"{text.count(run['model_errors'])} failed."),
        ("Tool calls", tools, f"{text.count(run['tool_requests'])} were requested."),
        ("Tool errors", text.count(run["tool_errors"]), f"{text.count(run['retries'])} repeated attempts."),
        ("Loops", text.count(run["loops"]), "Groups of at least three equal tool calls in a row."),
        ("Denials", text.count(run["policy_denials"]), "Tool calls a policy refused."),
        ("Record", *completeness(run)),
    )
    with st.container(border=True), st.grid(len(strip), min_column_width=96, gap="small"):
        for label, value, meaning in strip:
            with st.container(gap=None):
                st.caption(label, help=meaning)
                st.markdown(f"**{text.inert(value)}**")


def completeness(run: Json) -> tuple[str, str]:
    """Return whether the record of a run is known to be whole, in a word, and what that rests on."""
    stored, expected = run["spans_stored"], run["spans_expected"]
    if expected is None:
        return "unknown", f"{text.count(stored)} spans stored; the agent did not say how many there should be."
    events, of = run.get("audit_stored"), run.get("audit_expected")
    if run["complete"]:
        said = "spans" if of is None else f"spans and {text.count(of)} audit events"
        return "complete", f"All {text.count(expected)} {said} the agent counted are stored."
    if stored >= expected:
        return f"{text.count(events)} of {text.count(of)}", "Audit events stored of those the agent wrote."
    return (
        f"{text.count(stored)} of {text.count(expected)}",
        "Spans stored of those the agent counted: some are missing.",
    )


def _cost_help(run: Json) -> str:
    if run["unpriced_models"]:
        return f"No price is known for {text.inert(', '.join(run['unpriced_models']))}."
    return f"Source: {text.inert(run['cost_source'] or 'unknown')}."


def _token_help(run: Json) -> str:
    return (
        f"{text.count(run['input_tokens'])} in, {text.count(run['output_tokens'])} out, "
        f"{text.count(run['cache_read_tokens'])} of the input from cache, "
        f"{text.count(run['reasoning_tokens'])} of the output reasoning."
    )


def budget(run: Json) -> None:
    """Show a bar a limit: used of allowed. A limit whose use is not known has no bar."""
    if not run["budget"]:
        return
    with st.container(border=True):
        st.caption("Budget: used of allowed")
        with st.grid(len(run["budget"]), min_column_width=150):
            for name, line in sorted(run["budget"].items(), key=_reading_order):
                used, limit = line.get("used"), line.get("limit")
                amount = f"{_amount(name, used)} of {_amount(name, limit)}"
                label = f"{text.inert(BUDGET_LABELS.get(name, name))}: {text.inert(amount)}"
                if used is None or not limit:
                    st.caption(f"{label} · {'use unknown' if used is None else 'no limit'}")
                else:
                    over = " :material/warning:" if used >= limit else ""
                    st.progress(min(1.0, used / limit), text=label + over)


def _reading_order(item: tuple[str, Json]) -> tuple[int, str]:
    known = list(BUDGET_LABELS)
    return (known.index(item[0]) if item[0] in known else len(known)), item[0]


def _amount(name: str, value: float | None) -> str:
    match name:
        case "max_usd":
            return text.UNKNOWN if value is None else f"${value:,.4f}".rstrip("0").rstrip(".")
        case "max_seconds":
            return text.seconds(value)
        case _:
            return text.count(value)


def failure(run: Json, steps: Sequence[Json]) -> str | None:
    """Show what failed first, if anything did; return the span to look at when the reader asks for it."""
    failed = first_failing(steps)
    if failed is None and not run["error_message"]:
        return None
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if failed is None:
            st.badge("Failure", icon=":material/error:", color="red")
            st.text(text.shortened(run["error_message"], 300), width="stretch")
            return None
        step_badge(failed)
        st.text(said_of(failed, run["error_message"]), width="stretch")
        if failed["span_id"] and st.button("Show the span", icon=":material/arrow_downward:", key="show_failing"):
            return str(failed["span_id"])
    return None


def step_badge(step: Json) -> None:
    """Show whether the first step that did not go well failed or was refused."""
    if step["status"] == "denied":
        st.badge("First refusal", icon=":material/shield:", color="violet")
    else:
        st.badge("First failure", icon=":material/error:", color="red")


def said_of(step: Json, otherwise: str | None = None) -> str:
    """Return a failed or refused step in a line: its number, what was called, and why it did not go well."""
    what = step["tool"] or step["model"] or step["kind"]
    silent = "refused by a policy" if step["status"] == "denied" else "no message was sent"
    why = step["error_message"] or otherwise or step["error_type"] or silent
    return f"Step {step['number']} · {text.shortened(what, 60)} · {text.shortened(why, 260)}"


def first_failing(steps: Sequence[Json]) -> Json | None:
    """Return the first step that failed, timed out or was denied."""
    return next((step for step in steps if step["status"] in {"error", "timeout", "denied"}), None)


def now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)
