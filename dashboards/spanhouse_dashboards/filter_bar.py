"""Widgets that filter runs. Each is bound to the query parameter of its name, so a filtered page is a link."""

from __future__ import annotations

import streamlit as st

from spanhouse_dashboards import data

WINDOWS = {"1h": "5m", "24h": "1h", "7d": "6h", "30d": "1d", "all": "7d"}
"""Windows on offer and the step a trend over each is cut in."""
DEFAULT_WINDOW = "24h"
SORTS = {
    "-started_at": "Newest first",
    "-cost_usd": "Most expensive",
    "-input_tokens": "Most tokens",
    "-run_seconds": "Longest",
    "-tool_errors": "Most tool errors",
    "-policy_denials": "Most denials",
    "-loops": "Most loops",
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
}
FIXED_OPTIONS = {
    "status": ["running", "ended"],
    "outcome": ["success", "failure", "unknown"],
    "type": ["agent", "workflow", "call"],
    "escalated": ["true", "false"],
}
FREE_TEXT = frozenset({"session_id", "user_id", "request_id", "agent_version", "task"})


def window() -> dict[str, str]:
    """Show the time window; return `{"since": age}`, or nothing for all time."""
    chosen = st.segmented_control(
        "Window",
        list(WINDOWS),
        default=DEFAULT_WINDOW,
        required=True,
        key="since",
        bind="query-params",
        label_visibility="collapsed",
    )
    return {} if chosen in (None, "all") else {"since": str(chosen)}


def step(filters: dict[str, str]) -> str:
    """Return the step a trend over the filters' window is cut in."""
    return WINDOWS.get(filters.get("since", "all"), WINDOWS["all"])


def labelled(name: str, labels: dict[str, str], *, width: int) -> str:
    """Show a choice whose labels differ from what the address says; return the chosen key, the first by default.

    Streamlit's own binding writes labels into the address, and other pages link here by key.
    """
    widget = f"{name}_choice"
    wanted = st.query_params.get(name)
    st.session_state[widget] = wanted if wanted in labels else next(iter(labels))

    def remember() -> None:
        st.query_params[name] = st.session_state[widget]

    return st.selectbox(
        name.capitalize(),
        list(labels),
        format_func=labels.__getitem__,
        key=widget,
        on_change=remember,
        label_visibility="collapsed",
        width=width,
    )


def choices(names: tuple[str, ...]) -> dict[str, str]:
    """Show one widget a filter, side by side; return those that are set."""
    out: dict[str, str] = {}
    for name in names:
        value = _free(name) if name in FREE_TEXT else _choice(name)
        if value:
            out[name] = value
    return out


def _free(name: str) -> str | None:
    return st.text_input(LABELS[name], key=name, bind="query-params", placeholder="Any")


def _choice(name: str) -> str | None:
    known = FIXED_OPTIONS.get(name) or data.facets().get("stop_code" if name == "stop_reason" else name, [])
    return st.selectbox(
        LABELS[name],
        known,
        index=None,
        key=name,
        bind="query-params",
        placeholder="Any",
        # A link may name a value that no list holds, such as `policy_deny:send_email` or an agent seen long ago.
        accept_new_options=True,
    )
