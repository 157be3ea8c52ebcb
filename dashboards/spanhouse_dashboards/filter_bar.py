"""Widgets that filter runs. Each stands for the query parameter of its name, so a filtered page is a link."""

from __future__ import annotations

import streamlit as st

from spanhouse.filters import SIMPLE_FLAGS, FilterError, expression_of, parse, written
from spanhouse.filters.fields import RUN_FIELDS
from spanhouse_dashboards import address, data, text

ALL_TIME = "all"
WINDOWS = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", ALL_TIME: "All time"}
"""Windows on offer."""
DEFAULT_WINDOW = "24h"
STEPS = {"1h": "5m", "24h": "1h", "7d": "6h", "30d": "1d", ALL_TIME: "7d"}
"""The step a trend over each window is cut in."""
SORTS = {
    "-started_at": "Newest first",
    "-cost_usd": "Most expensive",
    "-tokens": "Most tokens",
    "-run_seconds": "Longest",
    "-tool_errors": "Most tool errors",
    "-retries": "Most retries",
    "-loops": "Most loops",
    "-policy_denials": "Most denials",
    "-steps": "Most steps",
}
LABELS = {
    "tenant": "Tenant",
    "environment": "Environment",
    "agent": "Agent",
    "agent_version": "Agent version",
    "model": "Model",
    "status": "Status",
    "stop_reason": "Stop reason",
    "outcome": "Outcome",
    "type": "Type",
    "task": "Task",
    "task_type": "Task type",
    "variant": "Variant",
    "session_id": "Session id",
    "user_id": "User id",
    "request_id": "Request id",
    "tool": "Tool called",
    "escalated": "Escalated",
    "completed": "Completed",
    "complete": "Record complete",
}
FIXED_OPTIONS = {
    "status": list(RUN_FIELDS["status"].choices),
    "outcome": list(RUN_FIELDS["outcome"].choices),
    "type": ["agent", "workflow", "call"],
    **{name: ["true", "false"] for name in SIMPLE_FLAGS},
}
FREE_TEXT = frozenset({"session_id", "user_id", "request_id", "agent_version", "task"})


def window() -> dict[str, str]:
    """Show the time window; return `{"since": age}`, or nothing for all time."""
    chosen = address.switch("since", WINDOWS, DEFAULT_WINDOW)
    return {} if chosen == ALL_TIME else {"since": chosen}


def step(filters: dict[str, str]) -> str:
    """Return the step a trend over the filters' window is cut in."""
    return STEPS[filters.get("since", ALL_TIME)]


def choices(names: tuple[str, ...]) -> dict[str, str]:
    """Show one widget a filter, side by side; return those that are set."""
    out: dict[str, str] = {}
    for name in names:
        if name in FREE_TEXT:
            value: str | None = address.words(name, LABELS[name], "Any")
        else:
            known = FIXED_OPTIONS.get(name) or data.facets().get("stop_code" if name == "stop_reason" else name, [])
            value = address.choice(name, LABELS[name], known)
        if value:
            out[name] = value
    return out


def box() -> tuple[str, bool]:
    """Show the field for a filter of the language, and what is wrong with it; return it, and whether it can be used."""
    entered = address.words(
        "filter",
        "Filter",
        'cost > 0.5 and tool("http.get").errors > 2',
        icon=":material/filter_alt:",
        bare=True,
    )
    if not entered:
        return "", True
    try:
        parse(entered)
    except FilterError as error:
        st.error(text.inert(error.reason), icon=":material/error:")
        st.code(error.caret, language=None)
        return entered, False
    return entered, True


def chips(filters: dict[str, str]) -> None:
    """Show each simple filter that is set as the condition it stands for; a click takes it away."""
    said = {name: expression_of({name: value}) for name, value in filters.items() if name in LABELS or name == "text"}
    conditions = {name: node for name, node in said.items() if node is not None}
    if not conditions:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, node in conditions.items():
            st.button(
                text.inert(written(node)),
                key=f"chip_{name}",
                icon=":material/close:",
                on_click=_clear,
                args=((name,),),
                help="Take this condition away",
            )
        st.button(
            "Write as one filter",
            key="as_filter",
            type="tertiary",
            on_click=_as_one,
            args=({name: filters[name] for name in conditions}, filters.get("filter", "")),
        )


def _clear(names: tuple[str, ...]) -> None:
    for name in names:
        st.query_params.pop(name, None)


def _as_one(simple: dict[str, str], more: str) -> None:
    node = expression_of(simple)
    parts = [written(node)] if node is not None else []
    if more:
        parts.append(f"({more})" if " or " in more else more)
    _clear(tuple(simple))
    st.query_params["filter"] = written(parse(" and ".join(parts)))
