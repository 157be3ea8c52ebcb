"""Alerts: what fires now, the rules behind it, and what was sent to whom."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import data, run_head, text, urls

RENEW = "10s"
STATES: dict[str, tuple[str, Any, str]] = {
    "firing": ("Firing", "red", ":material/notifications_active:"),
    "pending": ("Pending", "orange", ":material/hourglass_top:"),
    "resolved": ("Resolved", "green", ":material/check_circle:"),
}
SEVERITY_COLORS: dict[str, Any] = {"page": "red", "warn": "orange"}
OTHER_STATE = 9


@st.fragment(run_every=RENEW)
def page() -> None:
    """Show all of it, renewed every ten seconds."""
    with data.told(), st.skeleton(height=320):
        found = data.alerts()
        if not found["rules"] and not found["alerts"]:
            st.info(
                "No alert rule is set up. The format of the rules file is described in the docs.",
                icon=":material/rule:",
            )
            return
        for problem in found.get("problems") or ():
            st.warning(f"Rules file, line {problem['line']}: {text.inert(problem['message'])}", icon=":material/rule:")
        counts(found["alerts"])
        for alert in sorted(found["alerts"], key=rank):
            if alert["state"] in {"firing", "pending"}:
                one_alert(alert)
        if not any(alert["state"] in {"firing", "pending"} for alert in found["alerts"]):
            st.caption(":material/check_circle: Nothing fires, and nothing is about to.")
        rules, resolved, sent = st.tabs(
            [f"Rules ({len(found['rules'])})", "Resolved", f"Notifications ({len(found['notifications'])})"],
            key="kinds",
        )
        with rules:
            table(found["rules"], key="rules", empty="No rule is set up.", first=("id", "state", "text"))
        with resolved:
            table(
                [alert for alert in found["alerts"] if alert["state"] == "resolved"],
                key="resolved",
                empty="None yet.",
                first=("rule", "summary", "ends_at"),
            )
        with sent:
            table(found["notifications"], key="sent", empty="Nothing was sent yet.")


def counts(alerts: list[data.Json]) -> None:
    """Show how many alerts are in each state."""
    with st.grid(len(STATES), min_column_width=160):
        for state, (label, _, _) in STATES.items():
            st.metric(label, sum(alert["state"] == state for alert in alerts), border=True)


def rank(alert: data.Json) -> tuple[int, int, str]:
    """Return the order alerts are read in: firing first, critical first, then by rule."""
    states, severities = list(STATES), list(SEVERITY_COLORS)
    state = states.index(alert["state"]) if alert["state"] in states else OTHER_STATE
    severity = severities.index(alert["severity"]) if alert["severity"] in severities else OTHER_STATE
    return state, severity, str(alert["rule"])


def one_alert(alert: data.Json) -> None:
    """Show an alert: what, since when, how far over, and the runs it is about."""
    label, color, icon = STATES[alert["state"]]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(label, icon=icon, color=color)
            st.badge(text.inert(alert["severity"]), color=SEVERITY_COLORS.get(alert["severity"], "gray"))
            st.markdown(f"**{text.inert(alert['rule'])}**", width="content")
            st.caption(
                f"since {text.age(alert['since'], run_head.now())} · {text.clock(alert['since'])}", width="content"
            )
        st.text(text.known(alert["summary"]))
        with st.container(horizontal=True, vertical_alignment="center"):
            observed = f"observed {_number(alert['value'])}, threshold {_number(alert['threshold'])}"
            st.caption(text.inert(observed), width="content")
            filters = {name: str(value) for name, value in (alert["labels"] or {}).items() if name in urls.RUN_FILTERS}
            for name, value in sorted((alert["labels"] or {}).items()):
                st.badge(f"{text.inert(name)}: {text.inert(value)}", color="gray")
            st.page_link(
                urls.RUNS, label="Runs behind it", icon=":material/arrow_forward:", icon_position="right",
                query_params=urls.runs(filters, since="24h"),
            )  # fmt: skip


def _number(value: float | None) -> str:
    return text.UNKNOWN if value is None else f"{value:,.4g}"


def table(rows: list[data.Json], *, key: str, empty: str, first: tuple[str, ...] = ()) -> None:
    """Show rows as they are, some columns first, nested values as JSON; columns of unknowns are left out."""
    if not rows:
        st.caption(empty)
        return
    known = [name for row in rows for name, value in row.items() if value not in (None, "", [], {})]
    names = [name for name in dict.fromkeys((*first, *known)) if name in known]
    frame = pl.DataFrame(
        {
            name.replace("_", " ").capitalize(): pl.Series([_flat(row.get(name)) for row in rows], dtype=pl.String)
            for name in names
        }
    )
    st.dataframe(frame, key=key, hide_index=True, placeholder=text.UNKNOWN, alt=key.capitalize())


def _flat(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


st.title("Alerts", anchor=False)
page()
