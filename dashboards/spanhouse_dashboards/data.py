"""What pages read: answers of the API, kept for a few seconds so that one click asks for nothing twice.

Each visitor's are kept apart: what one may see another may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import streamlit as st

from spanhouse.client import Client
from spanhouse.errors import ServerError
from spanhouse.filters import SIMPLE_TEXTS
from spanhouse_dashboards import settings, text

Json = dict[str, Any]
FRESH_SECONDS = 5
SLOW_CHANGING_SECONDS = 30
MAX_SPANS = 5_000
MAX_EVENTS = 2_000
PAGE = 1_000
MAX_LINES = 20_000
MAX_VISITORS = 1_000


def asked(filters: Mapping[str, str]) -> dict[str, Any]:
    """Return filters as the client takes them: what stands in an address is one value, whatever commas are in it."""
    return {name: [value] if name in SIMPLE_TEXTS else value for name, value in filters.items()}


@st.cache_resource(max_entries=MAX_VISITORS, show_spinner=False)
def _client(found: settings.Settings) -> Client:
    return Client(found.url, token=found.token)


def client() -> Client:
    """Return the API client of whoever looks at the page."""
    return _client(settings.current())


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=200, show_spinner=False)
def runs(filters: Mapping[str, str], *, limit: int, cursor: str | None) -> Json:
    """Return one page of runs: `{"runs", "next_cursor"}`."""
    return client().runs(**asked(filters), limit=limit, cursor=cursor)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def sessions(filters: Mapping[str, str], *, limit: int, cursor: str | None) -> Json:
    """Return one page of sessions: `{"sessions", "next_cursor"}`."""
    return client().sessions(**asked(filters), limit=limit, cursor=cursor)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def session(session_id: str, tenant: str | None) -> Json:
    """Return a session and its runs in order: `{"session", "turns", "truncated"}`."""
    return client().session(session_id, tenant=tenant)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=200, show_spinner=False)
def run(run_id: str) -> Json:
    """Return one run."""
    return client().run(run_id)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def spans(run_id: str) -> list[Json]:
    """Return the run's spans without content in start order, at most `MAX_SPANS`."""
    return list(islice(client().iter_spans(run_id, limit=PAGE), MAX_SPANS))


@st.cache_data(scope="session", ttl=SLOW_CHANGING_SECONDS, max_entries=100, show_spinner=False)
def span(run_id: str, span_id: str) -> Json:
    """Return one span with its content."""
    return client().span(run_id, span_id)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def steps(run_id: str) -> list[Json]:
    """Return the run's steps."""
    return cast("list[Json]", client().steps(run_id)["steps"])


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def audit(run_id: str) -> list[Json]:
    """Return the run's audit events in order, at most `MAX_EVENTS`."""
    return list(islice(client().iter_audit(run_id=run_id, limit=PAGE), MAX_EVENTS))


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def scores(run_id: str) -> Json:
    """Return what evaluators said of the run, in order, at most `PAGE`: `{"scores", "next_cursor"}`."""
    return client().scores(run_id=run_id, limit=PAGE)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def triage(some_id: str) -> Json:
    """Return what is known of a request, run, trace or session id."""
    return client().triage(some_id)


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=200, show_spinner=False)
def metrics(
    names: Sequence[str], filters: Mapping[str, str], *, by: str | None = None, step: str | None = None
) -> list[Json]:
    """Return metric points; `filters` are run filters and the window (`since`, `until`)."""
    return cast("list[Json]", client().metrics(names, by=by, step=step, **asked(filters))["points"])


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def tools(filters: Mapping[str, str]) -> list[Json]:
    """Return calls, errors and times by tool."""
    return cast("list[Json]", client().tools(**asked(filters))["tools"])


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def models(filters: Mapping[str, str]) -> list[Json]:
    """Return calls, errors, tokens and cost by model, most called first."""
    return cast("list[Json]", client().models(**asked(filters))["models"])


@st.cache_data(scope="session", ttl=SLOW_CHANGING_SECONDS, show_spinner=False)
def facets() -> dict[str, list[str]]:
    """Return the values filters can take."""
    return client().facets()


@st.cache_data(scope="session", ttl=FRESH_SECONDS, show_spinner=False)
def alerts() -> Json:
    """Return rules, alerts and notifications."""
    return client().alerts()


@st.cache_data(scope="session", ttl=FRESH_SECONDS, show_spinner=False)
def system() -> Json:
    """Return the server's own state."""
    return client().system()


@st.cache_data(scope="session", ttl=FRESH_SECONDS, max_entries=20, show_spinner=False)
def ledger(since: str) -> Json:
    """Return what became of the records received since: `{"totals", "minutes", "truncated"}`."""
    return client().ledger(since=since, limit=MAX_LINES)


@contextmanager
def told() -> Iterator[None]:
    """Show a failed read where its result would stand, with the way out, and let the rest of the page go on."""
    try:
        yield
    except ServerError as error:
        st.error(text.inert(error), icon=":material/cloud_off:")
