"""Control: the flags in force, and the switch that stops, pauses, disables and tightens."""

from __future__ import annotations

import streamlit as st

from spanhouse.errors import ServerError
from spanhouse_dashboards import data, text
from spanhouse_dashboards.operators import LOG_IN

ACTIONS = {
    "stop": "Stop: end matching runs now",
    "pause": "Pause: hold matching runs before their next call",
    "disable": "Disable: refuse calls",
    "tighten": "Tighten: lower limits of matching runs",
    "enable": "Enable: lift the flags of this target",
}
SCOPES = ("run", "agent", "tool", "user", "tenant", "all")
LIMITS = ("max_usd", "max_tokens", "max_steps", "max_tool_calls", "max_seconds")
COLORS = {"stop": "red", "disable": "red", "pause": "orange", "tighten": "orange"}
RENEW = "2s"


@st.fragment(run_every=RENEW)
def in_force() -> None:
    """Show the flags in force, each with who and why."""
    with data.told():
        flags = (data.client().control() or {"flags": []})["flags"]
        if not flags:
            st.caption(":material/check_circle: No flag is in force: agents go on by their own limits.")
        for flag in flags:
            one(flag)


def one(flag: data.Json) -> None:
    """Show a flag, and the button that lifts it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"flag_{flag['id']}"):
        st.badge(flag["action"], color=COLORS.get(flag["action"], "gray"))  # type: ignore[arg-type] # its colours
        where = f"{flag['scope']} {flag['target'] or ''}".strip() + (f" of {flag['tenant']}" if flag["tenant"] else "")
        st.markdown(f"**{text.inert(where)}**", width="content")
        limits = ", ".join(f"{name} {value:g}" for name, value in (flag["limits"] or {}).items())
        said = [limits, flag["reason"], f"by {flag['by']}", f"until {text.clock(flag['expires_at'])}"]
        st.caption(text.inert(" · ".join(each for each in said[: 4 if flag["expires_at"] else 3] if each)))
        if st.button("Lift", key=f"lift_{flag['id']}", icon=":material/lock_open:"):
            confirm({"action": "enable", **{name: flag[name] for name in ("scope", "target", "tenant")}})


def switch() -> None:
    """Show the form of a new flag; it is confirmed before it holds."""
    st.subheader("New flag", anchor=False)
    left, right = st.columns(2)
    action = left.selectbox("Action", [each for each in ACTIONS if each != "enable"], format_func=ACTIONS.__getitem__)
    scopes = [scope for scope in SCOPES if not (action == "tighten" and scope == "tool")]
    scope = right.selectbox("Scope", scopes)
    target = left.text_input("Target", placeholder="id or name", disabled=scope == "all")
    tenant = right.text_input("Only within tenant", placeholder="all tenants")
    minutes = left.number_input(
        "Minutes until it lifts itself (0: until lifted)", min_value=0, max_value=525_600, step=5
    )
    decision: data.Json = {"action": action, "scope": scope, "target": target.strip() if scope != "all" else ""}
    decision |= {"tenant": tenant.strip(), "ttl_seconds": minutes * 60 or None}
    if action == "tighten":
        name = right.selectbox("Limit", LIMITS)
        decision["limits"] = {name: right.number_input("No more than", min_value=0.0, step=0.1)}
    if st.button("Set", type="primary", icon=":material/front_hand:", key="set"):
        confirm(decision)


@st.dialog("Sure?")
def confirm(decision: data.Json) -> None:
    """Ask who and why, and set or lift the flag."""
    where = f"{decision['scope']} {decision['target'] or ''}".strip()
    st.markdown(f"{ACTIONS[decision['action']].split(':')[0]} **{text.inert(where)}**")
    by = st.text_input("Your name", st.session_state.get("operator_name", ""), max_chars=100)
    reason = st.text_input("Reason", max_chars=500)
    st.session_state["operator_name"] = by
    if not st.button("Yes", type="primary", key="control_now"):
        return
    if not by.strip():
        st.error("Say who you are: the audit trail has it.")
        return
    try:
        data.client().set_control(**decision, by=by.strip(), reason=reason.strip())
    except ServerError as error:
        st.error(LOG_IN if error.status in {401, 403} else text.inert(error), icon=":material/error:")
        return
    st.rerun()


st.title("Control", anchor=False)
in_force()
switch()
