"""Runs that show what an alert is about: the failing, looping, denied or costliest ones of its group and window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from spanhouse_alerts.metric_samples import FILTERS, condition, run_filter
from spanhouse_alerts.rules import BudgetRule, RatioRule
from spanhouse_analysis.metrics import find
from spanhouse_analysis.metrics.spend import largest_runs
from spanhouse_storage.contract import Store
from spanhouse_storage.reads import NEWEST_FIRST, list_runs

RUNS_SHOWN = 3
_LOOKED_AT = 200
# Lists bound the start of a run, windows its end: a run that took this long is still found.
_LONGEST_RUN = timedelta(hours=6)

Weight = Callable[[Mapping[str, Any]], float]


class Evidence(Protocol):
    """Where the runs that stand for an alert come from."""

    def runs(
        self, rule: RatioRule | BudgetRule, labels: Mapping[str, str], since: datetime, until: datetime
    ) -> list[str]:
        """Return run ids, the most telling first; empty where none is found."""
        ...


class StoredEvidence:
    """Evidence out of the stored runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def runs(
        self, rule: RatioRule | BudgetRule, labels: Mapping[str, str], since: datetime, until: datetime
    ) -> list[str]:
        """Return up to three run ids of the alert's group, the most telling first.

        They ended in the window; of a budget they spent in it, and may still go on.
        """
        group = {name: labels[name] for name in rule.dimensions}
        if any(name not in FILTERS or not value for name, value in group.items()):
            # Runs of this group cannot be told from others, and those of others would mislead.
            return []
        only = condition(rule.filter, until)
        if find(rule.metric).spend:
            within = replace(run_filter({**rule.filters, **group}, since, until), filter=only)
            return largest_runs(self._store, within, find(rule.metric), RUNS_SHOWN)
        sort, weight = _TELLING.get(rule.metric, (NEWEST_FIRST, _not_completed))
        wanted = replace(run_filter({**rule.filters, **group}, since - _LONGEST_RUN, until), filter=only)
        rows = list_runs(self._store, wanted, sort=sort, limit=_LOOKED_AT).rows
        found = rows.select(list(_COLUMNS)).to_pylist()
        inside = [run for run in found if run["ended_at"] is None or run["ended_at"] >= since]
        telling = sorted((run for run in inside if weight(run) > 0), key=weight, reverse=True)
        return [run["run_id"] for run in telling[:RUNS_SHOWN]]


def _column(name: str) -> Weight:
    return lambda run: float(run[name] or 0)


def _not_completed(run: Mapping[str, Any]) -> float:
    return float(run["status"] == "ended" and not run["completed"])


_TELLING: dict[str, tuple[str, Weight]] = {
    "runs": (NEWEST_FIRST, lambda _run: 1.0),
    "tool_error_rate": ("-tool_errors", _column("tool_errors")),
    "tool_success_rate": ("-tool_errors", _column("tool_errors")),
    "loop_rate": ("-loops", _column("loops")),
    "cycle_rate": (NEWEST_FIRST, _column("cycle_length")),
    "retry_rate": ("-retries", _column("retries")),
    "retry_storm_rate": ("-retries", _column("retry_storm")),
    "runs_denied_rate": (NEWEST_FIRST, _column("policy_denials")),
    "loop_stop_rate": ("-loops", lambda run: float(run["stop_code"] == "loop_detected")),
    "policy_deny_rate": (NEWEST_FIRST, _column("policy_denials")),
    "escalation_rate": (NEWEST_FIRST, _column("escalated")),
    "model_error_rate": (NEWEST_FIRST, _column("model_errors")),
}
_COLUMNS = (
    "run_id",
    "ended_at",
    "status",
    "completed",
    "stop_code",
    "tool_errors",
    "loops",
    "cycle_length",
    "retries",
    "retry_storm",
    "policy_denials",
    "escalated",
    "model_errors",
)
