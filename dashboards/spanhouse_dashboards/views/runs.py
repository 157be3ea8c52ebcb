"""Runs: every run, filtered by anything, newest first. The filters are the page's address."""

from __future__ import annotations

import streamlit as st

from spanhouse.filters import SIMPLE_FLAGS, SIMPLE_TEXTS
from spanhouse_dashboards import address, data, filter_bar, first_trace, run_table, text
from spanhouse_dashboards.figures.stop_reasons import runs_over_time

PAGE_SIZE = 50
MAIN_FILTERS = ("stop_reason", "agent", "model", "tool", "tenant", "outcome")
MORE_FILTERS = tuple(name for name in (*SIMPLE_TEXTS, *SIMPLE_FLAGS) if name not in MAIN_FILTERS)
LIVE_SHOWN = 10
LIVE_SECONDS = 5


def chosen_filters() -> tuple[dict[str, str], bool]:
    """Show the filter bar; return what is set, and whether it can be asked for."""
    with st.container(horizontal=True, vertical_alignment="center"):
        filters = filter_bar.window()
        words = address.words(
            "text", "Search", "A word of what was asked or answered", icon=":material/search:", bare=True
        )
        sort = address.menu("sort", filter_bar.SORTS, width=190)
    condition, usable = filter_bar.box()
    with st.grid(6, min_column_width=150):
        filters |= filter_bar.choices(MAIN_FILTERS)
    hidden_but_set = [name for name in MORE_FILTERS if st.query_params.get(name)]
    with (
        st.expander("More filters", icon=":material/tune:", expanded=bool(hidden_but_set)),
        st.grid(6, min_column_width=150),
    ):
        filters |= filter_bar.choices(MORE_FILTERS)
    if words:
        filters["text"] = words
    if condition:
        filters["filter"] = condition
    filter_bar.chips(filters)
    if sort != next(iter(filter_bar.SORTS)):
        filters["sort"] = sort
    return filters, usable


@st.fragment(run_every=LIVE_SECONDS)
def live(filters: dict[str, str]) -> None:
    """Show the runs that go on and match, looked at again every few seconds; nothing where none does."""
    if filters.get("status", "running") != "running":
        return
    wanted = {name: value for name, value in filters.items() if name not in {"since", "until", "sort"}}
    with data.told():
        found = data.runs({**wanted, "status": "running"}, limit=LIVE_SHOWN, cursor=None)
        if not found["runs"]:
            return
        more = "+" if found["next_cursor"] else ""
        with st.container(border=True):
            st.markdown(f":green-badge[:material/sensors: Live] **{len(found['runs'])}{more} running now**")
            run_table.show_live(found["runs"])


def histogram(filters: dict[str, str]) -> None:
    """Show how many runs ended when, and how."""
    with st.skeleton(height=150):
        unsorted = {name: value for name, value in filters.items() if name != "sort"}
        points = data.metrics(("stop_reason_share",), unsorted, step=filter_bar.step(filters))
        if any(point["numerator"] for point in points):
            st.plotly_chart(
                runs_over_time(points),
                key="histogram",
                config={"displayModeBar": False},
                alt="Ended runs over time by kind of stop reason",
            )


def listing(filters: dict[str, str]) -> None:
    """Show one page of runs and the way to the next."""
    trail: list[str] = st.session_state.setdefault("cursors", [])
    if st.session_state.get("cursors_of") != filters:
        trail.clear()
        st.session_state["cursors_of"] = dict(filters)
    with st.skeleton(height=420):
        page = data.runs(filters, limit=PAGE_SIZE, cursor=trail[-1] if trail else None)
        found = page["runs"]
        if not found:
            narrowed = bool(set(filters) - {"since"}) or bool(data.runs({}, limit=1, cursor=None)["runs"])
            first_trace.show(filtered=narrowed)
            return
        run_table.show(found, key=f"runs_{len(trail)}")
        first = len(trail) * PAGE_SIZE + 1
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(
                f"Runs {text.count(first)} to {text.count(first + len(found) - 1)}. Choose a cell to open its run.",
                width="content",
            )
            with st.container(horizontal=True, width="content"):
                st.button(
                    "Previous",
                    icon=":material/chevron_left:",
                    disabled=not trail,
                    on_click=_back,
                    args=(trail,),
                    key="previous",
                )
                st.button(
                    "Next",
                    icon=":material/chevron_right:",
                    icon_position="right",
                    disabled=page["next_cursor"] is None,
                    on_click=trail.append,
                    args=(page["next_cursor"],),
                    key="next",
                )


def _back(trail: list[str]) -> None:
    trail.pop()


st.title("Runs", anchor=False)
with data.told():
    filters, usable = chosen_filters()
    if usable:
        live(filters)
        histogram(filters)
        listing(filters)
