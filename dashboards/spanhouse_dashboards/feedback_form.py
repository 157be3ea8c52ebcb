"""What a visitor thinks of a run: a thumb or a correction, which become scores of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from spanhouse.errors import ServerError
from spanhouse_dashboards import data, text
from spanhouse_dashboards.operators import LOG_IN


def show(run: Mapping[str, Any]) -> None:
    """Show the button that opens the form."""
    with st.popover("Feedback", icon=":material/thumbs_up_down:"):
        by = st.text_input("Your name", st.session_state.get("operator_name", ""), max_chars=100, key="feedback_by")
        comment = st.text_input("Comment", max_chars=1_000, key="feedback_comment")
        with st.container(horizontal=True):
            if st.button("Good", icon=":material/thumb_up:", key="thumbs_up"):
                send(run, by, comment=comment or None, thumbs="up")
            if st.button("Bad", icon=":material/thumb_down:", key="thumbs_down"):
                send(run, by, comment=comment or None, thumbs="down")
        correction = st.text_area("What it should have been", max_chars=8_000, key="feedback_correction")
        if st.button("Send correction", key="correct", disabled=not correction.strip()):
            send(run, by, comment=comment or None, correction=correction)


def send(run: Mapping[str, Any], by: str, **said: Any) -> None:  # noqa: ANN401 - as the client takes them
    """Send a score and say that it was taken, or why not."""
    try:
        data.client().give_feedback(run_id=run["run_id"], by=by.strip() or None, **said)
    except ServerError as error:
        st.error(LOG_IN if error.status in {401, 403} else text.inert(error), icon=":material/error:")
        return
    st.session_state["operator_name"] = by
    st.success("Noted; it shows with the run's scores in a moment.", icon=":material/check:")
