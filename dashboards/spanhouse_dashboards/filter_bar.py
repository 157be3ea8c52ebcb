"""Widgets that filter runs. Each stands for the query parameter of its name, so a filtered page is a link."""

from __future__ import annotations

from spanhouse_dashboards import address, data

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
}
FIXED_OPTIONS = {
    "status": ["running", "ended"],
    "outcome": ["success", "failure", "unknown"],
    "type": ["agent", "workflow", "call"],
    "escalated": ["true", "false"],
    "completed": ["true", "false"],
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
