"""The entry script Streamlit runs for every visit: page frame, navigation, then the page asked for."""

from __future__ import annotations

import streamlit as st

from spanhouse_dashboards import urls
from spanhouse_dashboards.mark import ICON, MARK

st.set_page_config(page_title="Spanhouse", page_icon=ICON, layout="wide")
st.logo(MARK, size="large")
st.navigation(
    [
        st.Page(
            urls.OVERVIEW,
            title="Overview",
            icon=":material/monitoring:",
            url_path="overview",
            default=True,
            help="How the agents do: completion, tokens, cost, tools, and why runs ended.",
        ),
        st.Page(
            urls.RUNS,
            title="Runs",
            icon=":material/list:",
            url_path="runs",
            help="Every run, filtered by anything; the filters are in the address.",
        ),
        st.Page(
            urls.RUN,
            title="Run",
            icon=":material/account_tree:",
            url_path="run",
            help="One run: its spans, messages, budgets and audit events.",
        ),
        st.Page(
            urls.SESSIONS,
            title="Sessions",
            icon=":material/forum:",
            url_path="sessions",
            help="Conversations: the runs of one session in order, and what they cost.",
        ),
        st.Page(
            urls.TRIAGE,
            title="Triage",
            icon=":material/emergency:",
            url_path="triage",
            help="From the id a customer quotes to what happened.",
        ),
        st.Page(
            urls.ALERTS,
            title="Alerts",
            icon=":material/notifications:",
            url_path="alerts",
            help="What fires now, the rules behind it, and what was sent.",
        ),
        st.Page(
            urls.APPROVALS,
            title="Approvals",
            icon=":material/how_to_reg:",
            url_path="approvals",
            help="What agents ask before they act, and your answers.",
        ),
        st.Page(
            urls.CONTROL,
            title="Control",
            icon=":material/front_hand:",
            url_path="control",
            help="Stop, pause, disable and tighten, and what is in force.",
        ),
        st.Page(
            urls.SYSTEM,
            title="System",
            icon=":material/health_and_safety:",
            url_path="system",
            help="Is every record accounted for, and does the server keep up.",
        ),
    ],
    position="top",
).run()
