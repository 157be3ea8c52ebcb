"""What can be asked of the metrics, and what an answer is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from spanhouse_analysis.metrics.definitions import Metric, MetricError, find
from spanhouse_analysis.times import rfc3339
from spanhouse_storage.reads import RunFilter

RUN_GROUPS: Final = (
    *("tenant", "environment", "agent", "agent_version", "model", "task_type", "variant", "type"),
    *("stop_code", "stop_reason", "outcome", "user_id", "session_id", "service_name", "task"),
)
TOOL: Final = "tool"
STEP_GROUPS: Final = ("tenant", "environment", "agent", "agent_version", "model", "task_type", "variant", TOOL)
SPEND_GROUPS: Final = (*STEP_GROUPS, "user_id", "type")
MAX_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Which metrics, over which runs, told apart how.

    Attributes:
        names: metrics of the catalogue.
        since: earliest end of a run, or of a call where the metric is about calls, inclusive; None for all time.
        until: latest such end, exclusive; None for no bound.
        by: what to group by: ``tool`` or any of ``RUN_GROUPS``; ``SPEND_GROUPS`` where the metric is about calls.
        step: length of the time buckets in seconds, aligned to midnight UTC; None for one bucket.
        filters: which runs; its own ``since`` and ``until`` hold where those above are None.
        exact: read runs and calls themselves however long the window; else long ones may be read from kept parts, with
            quantiles within 1 %.
    """

    names: Sequence[str]
    since: datetime | None = None
    until: datetime | None = None
    by: Sequence[str] = ()
    step: float | timedelta | None = None
    filters: RunFilter = field(default_factory=RunFilter)
    exact: bool = False

    def metrics(self) -> list[Metric]:
        """Return the metrics asked for.

        Raises:
            MetricError: one is unknown, or cannot be grouped so.
        """
        found = [find(name) for name in dict.fromkeys(self.names)]
        for group in self.by:
            if group not in RUN_GROUPS and group != TOOL:
                near = get_close_matches(group, [*RUN_GROUPS, TOOL], 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                msg = f"metrics cannot be grouped by {group!r}: {hint}known are {', '.join((*RUN_GROUPS, TOOL))}"
                raise MetricError(msg)
        for metric in found:
            if TOOL in self.by and metric.tool is None and not metric.spend:
                msg = f"metric {metric.name!r} is about whole runs and cannot be grouped by tool"
                raise MetricError(msg)
            groups = SPEND_GROUPS if metric.spend else STEP_GROUPS if self.from_steps(metric) else (*RUN_GROUPS, TOOL)
            wrong = [group for group in self.by if group not in groups]
            if wrong:
                what = "" if metric.spend else " by tool"
                msg = f"metric {metric.name!r}{what} cannot be grouped by {wrong[0]!r}: known are {', '.join(groups)}"
                raise MetricError(msg)
        return found

    def from_steps(self, metric: Metric) -> bool:
        """Whether the metric is read from the tool calls of ended runs rather than from the runs."""
        return metric.tool is not None and (TOOL in self.by or metric.run is None)

    def wanted(self) -> RunFilter:
        """Return the filter with the window in it."""
        return replace(self.filters, since=self.since or self.filters.since, until=self.until or self.filters.until)

    def step_nanoseconds(self) -> int | None:
        """Return the length of a bucket.

        Raises:
            MetricError: it is shorter than a second, or makes too many buckets.
        """
        if self.step is None:
            return None
        seconds = self.step.total_seconds() if isinstance(self.step, timedelta) else float(self.step)
        wanted = self.wanted()
        if seconds < 1:
            msg = f"step of {seconds:g} s cannot be used: the shortest is 1 s"
            raise MetricError(msg)
        if wanted.since and wanted.until and (wanted.until - wanted.since).total_seconds() / seconds > MAX_BUCKETS:
            msg = (
                f"step of {seconds:g} s makes more than {MAX_BUCKETS:,} buckets: take a longer step or a shorter window"
            )
            raise MetricError(msg)
        return round(seconds * 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Point:
    """One metric of one group in one time bucket; ``None`` where there is no data, never 0.

    Attributes:
        sampled: the figure is estimated: some runs stand for others that were sampled out.
    """

    metric: str
    group: dict[str, str]
    start: datetime | None
    end: datetime | None
    value: float | None
    numerator: float | None
    denominator: float | None
    low: float | None
    high: float | None
    unit: str
    sampled: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the point as the API gives it."""
        return {
            "metric": self.metric,
            "group": {name: value or None for name, value in self.group.items()},
            "start": rfc3339(self.start),
            "end": rfc3339(self.end),
            "value": _stable(self.value),
            "numerator": _stable(self.numerator),
            "denominator": _stable(self.denominator),
            "low": _stable(self.low),
            "high": _stable(self.high),
            "unit": self.unit,
            "sampled": self.sampled,
        }


def _stable(figure: float | None) -> float | None:
    """Return the figure to twelve digits: further ones depend on the order in which rows were added up."""
    return figure if figure is None or figure.is_integer() else float(f"{figure:.12g}")
