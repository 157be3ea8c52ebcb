"""Approvals: what agents ask before they act, with the answers an operator can give."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from spanhouse.errors import ServerError
from spanhouse_dashboards import data, run_head, text, urls
from spanhouse_dashboards.operators import LOG_IN

RENEW = "2s"
BADGES = {
    "waiting": ("orange", ":material/hourglass_top:"),
    "approved": ("green", ":material/check_circle:"),
    "denied": ("red", ":material/block:"),
    "expired": ("gray", ":material/timer_off:"),
    "withdrawn": ("gray", ":material/undo:"),
}


@st.fragment(run_every=RENEW)
def waiting() -> None:
    """Show the questions that wait, oldest first; renewed every two seconds."""
    try:
        found = data.client().approvals()
    except ServerError as error:
        if error.status in {401, 403}:
            st.info(LOG_IN, icon=":material/lock:")
            st.stop()
        raise
    if not found:
        st.caption(":material/check_circle: No agent waits for an answer.")
    for asked in found:
        one(asked)


def one(asked: data.Json) -> None:
    """Show a question with what would be done, and the ways to answer it."""
    with st.container(border=True, key=f"asked_{asked['id']}"):
        head(asked)
        if asked["kind"] == "input":
            st.text(text.known(asked["question"]))
        else:
            # As code, never as Markdown or HTML: what an agent wrote must not draw on this page.
            st.code(shown(asked["arguments"]), language="json", wrap_lines=True)
        if asked["why"]:
            st.text(f"Why: {asked['why']}")
        with st.container(horizontal=True):
            answer = "Answer" if asked["kind"] == "input" else "Approve"
            button(
                asked, answer, ":material/check:", confirm_text if asked["kind"] == "input" else confirm, primary=True
            )
            if asked["kind"] == "call":
                button(asked, "Edit and approve", ":material/edit:", confirm_edit)
            button(asked, "Deny", ":material/block:", confirm_deny)


def head(asked: data.Json) -> None:
    """Show what is asked for, by which agent of which run, and how long it has waited."""
    color, icon = BADGES[asked["state"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(asked["state"], color=color, icon=icon)  # type: ignore[arg-type] # one of its colours
        st.markdown(f"**{text.inert(asked['tool'])}**", width="content")
        for name in ("agent", "tenant", "user_id"):
            if asked[name]:
                st.badge(f"{name.removesuffix('_id')}: {text.inert(asked[name])}", color="gray")
        st.caption(f"asked {text.age(asked['asked_at'], run_head.now())}, until {text.clock(asked['expires_at'])}")
        st.page_link(urls.RUN, label="Run", icon=":material/arrow_forward:", query_params=urls.run(asked["run_id"]))


def shown(arguments: object) -> str:
    """Return arguments as a person reads them."""
    return json.dumps(arguments, indent=2, ensure_ascii=False) if arguments is not None else ""


def button(
    asked: data.Json, label: str, icon: str, dialog: Callable[[data.Json], None], *, primary: bool = False
) -> None:
    """Show a button that opens the dialog of an answer: nothing is answered by one click."""
    key = f"{label}_{asked['id']}"
    if st.button(label, icon=icon, key=key, type="primary" if primary else "secondary"):
        dialog(asked)


@st.dialog("Approve this call?")
def confirm(asked: data.Json) -> None:
    """Ask once more, and for whom."""
    st.markdown(f"**{text.inert(asked['tool'])}** will be called with")
    st.code(shown(asked["arguments"]), language="json", wrap_lines=True)
    by, reason = who()
    if st.button("Approve", type="primary", key="approve_now"):
        send(asked, by, reason, approved=True)


@st.dialog("Approve with other arguments?")
def confirm_edit(asked: data.Json) -> None:
    """Take other arguments; the agent's policy judges them anew."""
    written = st.text_area("Arguments (JSON object)", shown(asked["arguments"]), height=220)
    by, reason = who()
    if st.button("Approve these", type="primary", key="edit_now"):
        try:
            arguments = json.loads(written)
        except ValueError as error:
            st.error(f"This is no JSON: {text.inert(error)}")
            return
        if not isinstance(arguments, dict):
            st.error("The arguments must be one JSON object.")
            return
        send(asked, by, reason, approved=True, arguments=arguments)


@st.dialog("Deny this call?")
def confirm_deny(asked: data.Json) -> None:
    """Ask for the reason, which the agent's model is told."""
    st.markdown(f"**{text.inert(asked['tool'])}** will not be called; the agent is told why.")
    by, reason = who()
    if st.button("Deny", type="primary", key="deny_now"):
        send(asked, by, reason, approved=False)


@st.dialog("Answer the agent")
def confirm_text(asked: data.Json) -> None:
    """Take a text."""
    st.text(text.known(asked["question"]))
    said = st.text_area("Your answer")
    by, reason = who()
    if st.button("Send", type="primary", key="text_now"):
        send(asked, by, reason, approved=True, text=said)


def who() -> tuple[str, str]:
    """Return who answers and why, as asked for; the name is remembered for the visit."""
    by = st.text_input("Your name", st.session_state.get("operator_name", ""), max_chars=100)
    reason = st.text_input("Reason", max_chars=500)
    st.session_state["operator_name"] = by
    return by.strip(), reason.strip()


def send(asked: data.Json, by: str, reason: str, **said: Any) -> None:  # noqa: ANN401 - as the client takes them
    """Send an answer about what was shown, and close the dialog; what the server refuses is shown in it."""
    if not by:
        st.error("Say who you are: the audit trail has it.")
        return
    try:
        data.client().answer_approval(asked["id"], args_hash=asked["args_hash"], by=by, reason=reason, **said)
    except ServerError as error:
        st.error(text.inert(error), icon=":material/error:")
        return
    st.rerun()


def over() -> None:
    """Show what was answered lately, by whom and how long it took."""
    found = [each for each in data.client().approvals(every=True) if each["state"] != "waiting"]
    with st.expander(f"Answered ({len(found)})", icon=":material/history:"):
        rows = [
            {
                "State": each["state"],
                "Asked for": each["tool"],
                "Agent": each["agent"],
                "By": each["by"],
                "Reason": each["reason"],
                "Seconds": each["seconds"],
                "Asked at": each["asked_at"],
                "Run": each["run_id"],
            }
            for each in found
        ]
        st.dataframe(rows, hide_index=True, placeholder=text.UNKNOWN, key="over")


st.title("Approvals", anchor=False)
with data.told():
    waiting()
    over()
