"""Run: one run's record. The run and the chosen span are in the address: `?run_id=…&span_id=…`."""

from __future__ import annotations

import json

import streamlit as st

from spanhouse_dashboards import (
    address,
    data,
    evaluations,
    feedback_form,
    record_tables,
    run_head,
    run_table,
    span_detail,
    text,
    tree,
    urls,
)
from spanhouse_dashboards.components.span_tree import span_tree
from spanhouse_dashboards.figures.waterfall import visible, waterfall

BODY_HEIGHT = 640
RECENT = 15
VIEWS = {"tree": "Tree", "waterfall": "Waterfall"}
RENEW = "3s"
NO_BAR = {"displayModeBar": False, "scrollZoom": False}


def ask_for_a_run() -> None:
    """Show a field for an id and the latest runs, where the address names no run."""
    st.title("Run", anchor=False)
    with st.form("open", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.text_input("Run id", placeholder="Paste a run id", width=480)
        if st.form_submit_button("Open", icon=":material/arrow_forward:") and wanted:
            st.switch_page(urls.RUN, query_params=urls.run(wanted.strip()))
    with data.told():
        st.caption("Latest runs. Choose a cell to open one.")
        run_table.show(data.runs({}, limit=RECENT, cursor=None)["runs"], key="latest")


def head(run_id: str, *, live: bool) -> None:
    """Show what the run was, how it ended and what it used; a live one that has ended is shown anew, for good."""
    with data.told(), st.skeleton(height=330):
        run = data.run(run_id)
        if live and run["status"] != "running":
            st.rerun()
        run_head.title(run)
        run_head.links(run)
        run_head.facts(run, run_head.now())
        run_head.budget(run)
        failing = run_head.failure(run, data.steps(run_id))
        if failing is not None:
            st.query_params["span_id"] = failing
            st.rerun()


def body(run_id: str) -> None:
    """Show the spans as a tree or on a time axis, and the chosen one beside them."""
    with data.told(), st.skeleton(height=BODY_HEIGHT):
        run, spans = data.run(run_id), data.spans(run_id)
        if not spans:
            st.info("No span of this run is stored yet.", icon=":material/hourglass_empty:")
            return
        rows = tree.rows(spans)
        selected = chosen_span(run, rows)
        left, right = st.columns([6, 5], gap="medium")
        with left:
            picked = trace(
                run, rows, selected, truncated=len(spans) >= data.MAX_SPANS and (run["spans_stored"] or 0) > len(spans)
            )
        with right, st.container(height=BODY_HEIGHT + 54, border=True), data.told():
            span_detail.show(data.span(run_id, selected), run["started_at"])
        if picked is not None and picked != selected:
            st.query_params["span_id"] = picked
            st.rerun(scope="fragment")


def chosen_span(run: data.Json, rows: list[tree.Row]) -> str:
    """Return the span id of the address, else that of the run's first failing step, else the root's."""
    known = {str(row.span["span_id"]) for row in rows}
    failing = run_head.first_failing(data.steps(run["run_id"]))
    wishes = (st.query_params.get("span_id"), failing and failing["span_id"], run["root_span_id"])
    return next((str(wish) for wish in wishes if wish in known), str(rows[0].span["span_id"]))


def trace(run: data.Json, rows: list[tree.Row], selected: str, *, truncated: bool) -> str | None:
    """Show the tree or the waterfall; return the span chosen in it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        view = address.switch("view", VIEWS, "tree")
        drawn = visible(rows) if view == "waterfall" else rows
        if len(drawn) < len(rows):
            st.caption(f"{text.count(len(drawn))} of {text.count(len(rows))} spans; the tree has all.", width="content")
        if truncated:
            st.badge(f"first {text.count(data.MAX_SPANS)} spans", icon=":material/content_cut:", color="orange")
    if view == "waterfall":
        return timeline(run, drawn, selected)
    return span_tree(rows, selected=selected, key="span_tree", height=BODY_HEIGHT)


def timeline(run: data.Json, drawn: list[tree.Row], selected: str) -> str | None:
    """Show the waterfall with the audit events above it; return the span chosen in it."""
    until = run_head.now() if run["status"] == "running" else None
    with st.container(height=BODY_HEIGHT, border=True):
        event = st.plotly_chart(
            waterfall(drawn, data.audit(run["run_id"]), selected=selected, now=until),
            # A key of its own for each choice: a figure that changes must not bring an old click back.
            key=f"waterfall_{selected}",
            on_select="rerun",
            selection_mode="points",
            config=NO_BAR,
            alt="Spans and audit events of the run on one time axis",
        )
    points = event["selection"]["points"]
    return points[0]["customdata"][0] if points else None


def record(run_id: str) -> None:
    """Show the audit events, the steps, what evaluators said and the run's raw JSON."""
    with data.told(), st.skeleton(height=260):
        run, events, steps = data.run(run_id), data.audit(run_id), data.steps(run_id)
        given, spans = data.scores(run_id), data.spans(run_id)
        verdicts = evaluations.of_run(given["scores"], spans)
        names = [f"Audit events ({len(events)})", f"Steps ({len(steps)})", f"Scores ({len(verdicts)})", "Run as JSON"]
        audit_tab, steps_tab, scores_tab, raw_tab = st.tabs(names, key="record")
        with audit_tab:
            record_tables.audit(events, run["started_at"])
        with steps_tab:
            picked = record_tables.steps(steps, run["started_at"])
        with scores_tab:
            picked = evaluations.show(verdicts, run["started_at"], more=given["next_cursor"] is not None) or picked
        with raw_tab:
            document = json.dumps(run, indent=2, ensure_ascii=False)
            st.download_button(
                "Download", document, f"run-{run['run_id'][:12]}.json", "application/json", icon=":material/download:"
            )
            st.code(document, language="json", height=420)
        if picked is not None and picked != st.query_params.get("span_id"):
            st.query_params["span_id"] = picked
            st.rerun()


run_id = st.query_params.get("run_id")
if not run_id:
    ask_for_a_run()
    st.stop()
with data.told():
    found = data.run(run_id)
    if found["run_id"] != run_id:
        st.caption(f"Run {text.inert(run_id)} turned out to be part of this one when more of its record arrived.")
        run_id = found["run_id"]
    every = RENEW if found["status"] == "running" else None
    st.fragment(head, run_every=every)(run_id, live=every is not None)
    st.fragment(feedback_form.show)(found)
    st.fragment(body, run_every=every)(run_id)
    st.fragment(record, run_every=every)(run_id)
