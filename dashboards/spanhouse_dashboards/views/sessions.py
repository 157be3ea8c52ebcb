"""Sessions: conversations over several runs, and one of them turn by turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import columns, data, filter_bar, run_table, text, urls

PAGE_SIZE = 50


def frame(sessions: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return one row a session, columns in reading order."""
    return pl.DataFrame(
        {
            "Session": columns.texts(sessions, "session_id"),
            "Tenant": columns.texts(sessions, "tenant"),
            "Last": pl.Series([text.moment(each["last_at"]) for each in sessions], dtype=pl.Datetime("us", "UTC")),
            "Runs": columns.counts(sessions, "runs"),
            "Completed": columns.counts(sessions, "completed"),
            "Ended by": [each["last_stop_reason"] or each["last_status"] for each in sessions],
            "Tokens": pl.Series([run_table.total_tokens(each) for each in sessions], dtype=pl.Int64),
            "Cost": columns.numbers(sessions, "cost_usd"),
            "Users": [", ".join(each["users"]) or None for each in sessions],
        }
    )


def listing() -> None:
    """Show the filter and one page of sessions; a click opens one."""
    filters = filter_bar.window()
    condition, usable = filter_bar.box()
    if not usable:
        return
    if condition:
        filters["filter"] = condition
    trail: list[str] = st.session_state.setdefault("session_cursors", [])
    if st.session_state.get("session_cursors_of") != filters:
        trail.clear()
        st.session_state["session_cursors_of"] = dict(filters)
    page = data.sessions(filters, limit=PAGE_SIZE, cursor=trail[-1] if trail else None)
    found = page["sessions"]
    if not found:
        st.info("No session matches. A run belongs to one where it names a session id.", icon=":material/forum:")
        return
    event = st.dataframe(
        frame(found),
        key=f"sessions_{len(trail)}",
        height="content",
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Sessions, the latest first; choose a cell to read one",
        column_config={
            "Last": st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC", help="UTC"),
            "Tokens": st.column_config.NumberColumn(format="compact", help="Input and output tokens"),
            "Cost": st.column_config.NumberColumn(format="$%.5f", help="US dollars; a dash is an unknown price"),
            "Ended by": st.column_config.TextColumn(help="How the last run of the session ended"),
        },
    )
    cells = event["selection"]["cells"]
    if cells:
        chosen = found[cells[0][0]]
        query = {"session_id": str(chosen["session_id"]), "tenant": str(chosen["tenant"])}
        st.switch_page(urls.SESSIONS, query_params=query)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Previous", disabled=not trail, on_click=_back, args=(trail,), key="previous")
        after = page["next_cursor"]
        st.button("Next", disabled=after is None, on_click=trail.append, args=(after,), key="next")


def _back(trail: list[str]) -> None:
    trail.pop()


def conversation(session_id: str, tenant: str | None) -> None:
    """Show what was asked and answered, run by run."""
    found = data.session(session_id, tenant)
    session = found["session"]
    st.page_link(urls.SESSIONS, label="All sessions", icon=":material/arrow_back:")
    st.subheader(text.inert(session_id), anchor=False)
    with st.container(horizontal=True):
        st.metric("Runs", text.count(session["runs"]))
        st.metric("Completed", text.count(session["completed"]))
        st.metric("Tokens", text.compact(run_table.total_tokens(session)))
        st.metric("Cost", text.usd(session["cost_usd"]))
    st.caption(f"{text.clock(session['first_at'])} to {text.clock(session['last_at'])}")
    for turn in found["turns"]:
        run = turn["run"]
        with st.chat_message("user"):
            st.text(turn["asked"] or text.UNKNOWN)
        with st.chat_message("assistant"):
            st.text(turn["answered"] or text.UNKNOWN)
            ended = run["stop_reason"] or run["status"]
            st.page_link(
                urls.RUN,
                label=text.inert(f"{text.clock(run['started_at'])}, {ended}, {text.seconds(run['run_seconds'])}"),
                icon=":material/account_tree:",
                query_params=urls.run(str(run["run_id"])),
            )
    if found["truncated"]:
        st.info("Only the first runs of this session are shown.", icon=":material/more_horiz:")


st.title("Sessions", anchor=False)
with data.told():
    if chosen_id := st.query_params.get("session_id"):
        conversation(chosen_id, st.query_params.get("tenant"))
    else:
        listing()
