"""Links between pages: every number on one page is a list of runs on another."""

from __future__ import annotations

from collections.abc import Mapping

from spanhouse.filters import SIMPLE_FLAGS, SIMPLE_TEXTS, SIMPLE_WORDS

RUN_FILTERS = (*SIMPLE_TEXTS, *SIMPLE_FLAGS, *SIMPLE_WORDS, "filter", "since", "until", "sort")
"""Query parameters of the Runs page, named as those of `GET /api/v1/runs`."""


def runs(filters: Mapping[str, str | None], **more: str | None) -> dict[str, str]:
    """Return the Runs page's query parameters for these filters; empty values are left out, no `since` is all time.

    Raises:
        KeyError: a name that is no filter of the Runs page, so a link can never lead to an unfiltered list.
    """
    merged = {**filters, **more}
    unheard = sorted(set(merged) - set(RUN_FILTERS))
    if unheard:
        msg = f"no filter of the Runs page: {', '.join(unheard)}; known are {', '.join(RUN_FILTERS)}"
        raise KeyError(msg)
    return {"since": "all", **{name: value for name, value in merged.items() if value}}


def run(run_id: str, span_id: str | None = None) -> dict[str, str]:
    """Return the Run page's query parameters for a run and, if given, one of its spans."""
    return {"run_id": run_id, **({"span_id": span_id} if span_id else {})}


OVERVIEW = "views/overview.py"
RUNS = "views/runs.py"
RUN = "views/run.py"
SESSIONS = "views/sessions.py"
TRIAGE = "views/triage.py"
ALERTS = "views/alerts.py"
APPROVALS = "views/approvals.py"
CONTROL = "views/control.py"
SYSTEM = "views/system.py"
