"""Figures out of the stored metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from spanhouse.filters import SIMPLE_TEXTS, Node, parse, resolved
from spanhouse_alerts.samples import Request, Sample
from spanhouse_analysis.metrics import MetricQuery, evaluate
from spanhouse_storage.contract import Store
from spanhouse_storage.reads import RunFilter

FILTERS = frozenset(SIMPLE_TEXTS) - {"status"}
"""What `filters` of a rule can name; metrics are over ended runs or over calls, so there is no status to choose."""


class MetricSamples:
    """Samples computed by the metric catalogue's definitions from the facts of runs and calls."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, request: Request) -> Sequence[Sample]:
        """Return the figure of every group that has data in the window; raises where the store or metric fails."""
        wanted = replace(run_filter(request.filters), filter=condition(request.filter, request.until))
        query = MetricQuery([request.metric], request.since, request.until, request.by, filters=wanted)
        points = evaluate(self._store, query, now=request.until)
        return [Sample(point.group, point.value, point.numerator, point.denominator) for point in points]


def condition(text: str, now: datetime) -> Node | None:
    """Return what a rule's `filter` means at this moment; None where it has none."""
    return resolved(parse(text), now) if text else None


def run_filter(
    filters: Mapping[str, str | Sequence[str]], since: datetime | None = None, until: datetime | None = None
) -> RunFilter:
    """Return a rule's filters as a filter on runs."""
    wanted: dict[str, Any] = {
        name: value if isinstance(value, str) else list(value) for name, value in filters.items() if name in FILTERS
    }
    return RunFilter(**wanted, since=since, until=until)
