"""Triage: from the id a person has in hand to what was asked, what was done, what was refused and why it ended."""

from __future__ import annotations

import streamlit as st

from spanhouse_dashboards import address, data, record_tables, run_head, text, urls
from spanhouse_dashboards.meanings import explain

LONG = 800
"""Characters after which a text gets a box that scrolls."""
MATCHED = {
    "request_id": "a request id",
    "run_id": "a run id",
    "trace_id": "a trace id",
    "session_id": "a session id",
}


def report(found: data.Json) -> None:
    """Show every run the id stands for, the only one or the newest open."""
    runs = found["runs"]
    many = "one run" if len(runs) == 1 else f"{len(runs)} runs"
    st.caption(f"{text.inert(found['query'])} is {MATCHED.get(found['matched_by'], 'an id')} of {many}.")
    for index, item in enumerate(runs):
        with st.container(border=True):
            one_run(item, index)


def one_run(item: data.Json, index: int) -> None:
    """Show one run on one screen."""
    run = item["run"]
    meaning = explain(run["stop_reason"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(
            text.inert(text.shortened(run["agent"] or run["name"] or "Run", 60)), anchor=False, width="content"
        )
        if run["status"] == "running":
            st.badge("running", icon=":material/progress_activity:", color="blue")
        else:
            st.badge(text.inert(run["stop_reason"] or "unknown"), icon=meaning.family.icon, color=meaning.family.color)
        st.text(meaning.sentence, width="content")
        st.page_link(
            urls.RUN, label="Open the run", icon=":material/open_in_full:", query_params=urls.run(run["run_id"])
        )
    figures = (
        ("Started", text.clock(run["started_at"])),
        ("Took", text.seconds(run["run_seconds"])),
        ("Outcome", run["outcome"] or "unknown"),
        ("Tenant", text.known(run["tenant"])),
        ("User", text.known(run["user_id"])),
        ("Cost", text.usd(run["cost_usd"])),
        ("Record", run_head.completeness(run)[0]),
    )
    with st.grid(len(figures), min_column_width=110):
        for label, value in figures:
            with st.container(gap=None):
                st.caption(label)
                st.markdown(f"**{text.inert(value)}**")
    asked, answered = st.columns(2, gap="medium")
    with asked:
        st.caption("Asked")
        said(item["asked"])
    with answered:
        st.caption("Answered")
        said(item["answered"])
    failing(item)
    run_head.budget({"budget": item["budget"]})
    decisions(item, index)
    calls, audit = st.tabs(
        [f"Tool calls ({len(item['tool_calls'])})", f"All audit events ({len(item['audit'])})"], key=f"tabs_{index}"
    )
    with calls:
        picked = record_tables.steps(item["tool_calls"], run["started_at"], key=f"calls_{index}")
        if picked is not None:
            st.switch_page(urls.RUN, query_params=urls.run(run["run_id"], picked))
    with audit:
        record_tables.audit(item["audit"], run["started_at"], key=f"audit_{index}")


def said(words: str | None) -> None:
    """Show text as text, and say so where there is none."""
    if words:
        st.code(words, language=None, wrap_lines=True, height=160 if len(words) > LONG else "content")
    else:
        st.caption("Not captured, or not answered.")


def failing(item: data.Json) -> None:
    """Show the first failing step with a link to its span."""
    step = item["first_failing_step"]
    if step is None:
        st.caption(":material/check: No step failed.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        run_head.step_badge(step)
        st.text(run_head.said_of(step), width="content")
        st.page_link(
            urls.RUN, label="Show the span", icon=":material/arrow_forward:",
            query_params=urls.run(item["run"]["run_id"], step["span_id"]),
        )  # fmt: skip


def decisions(item: data.Json, index: int) -> None:
    """Show what policies and people decided."""
    if not item["policy_decisions"]:
        st.caption(":material/shield: No policy or approval decision was recorded.")
        return
    st.caption("Decisions of policies and people")
    record_tables.audit(item["policy_decisions"], item["run"]["started_at"], key=f"decisions_{index}")


st.title("Triage", anchor=False)
wanted = address.words(
    "id",
    "Request, run, trace or session id",
    "Paste the id the customer or the alert gave you",
    icon=":material/search:",
    width=640,
)
if wanted:
    with data.told(), st.skeleton(height=420):
        report(data.triage(wanted))
else:
    st.caption("The answer to: what was asked, what did the agent do, what was refused, why did it stop?")
