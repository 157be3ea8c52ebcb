"""Which parts are kept of which rows, and by which groups: the shape of a row of ``metric_parts``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spanhouse_analysis.metrics.definitions import Metric, catalogue
from spanhouse_analysis.metrics.query import STEP_GROUPS, TOOL
from spanhouse_analysis.metrics.reductions import COUNT, OF, SQUARE, SUM, base, scalars
from spanhouse_analysis.metrics.sketch import GROWTH

HOUR: Final = 3_600
DAY: Final = 86_400
LEVELS: Final = (HOUR, DAY)
TENANT: Final = "tenant"
SKETCH_WIDTH: Final = 1_000_000
"""Room for the keys of one distribution, which are between plus and minus half of it."""


@dataclass(frozen=True)
class Layout:
    """What is kept of one kind of rows.

    Attributes:
        source: ``runs``, ``calls`` (tool calls of ended runs) or ``spend`` (calls by their own end).
        groups: columns by which parts are kept apart, beside the tenant.
        metrics: the metrics whose parts are kept, one of each distribution.
    """

    source: str
    groups: tuple[str, ...]
    metrics: tuple[Metric, ...]

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """The names of the numbers in ``sums``, in order."""
        return tuple(name for metric in self.metrics for name in self.names(metric))

    @cached_property
    def sketches(self) -> tuple[str, ...]:
        """The names of the distributions, in order."""
        return tuple(base(metric) for metric in self.metrics if metric.kind == "quantile")

    @cached_property
    def version(self) -> str:
        """What changes whenever rows computed before cannot be read as this layout any more."""
        said = [self.source, *self.groups, *self.sums, *self.sketches, str(GROWTH)]
        said += [f"{metric.definition} {metric.spend}" for metric in self.metrics]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]

    def names(self, metric: Metric) -> list[str]:
        """Return the names of a metric's numbers."""
        if self.source == "spend":
            return [metric.name + part for part in (SUM, OF, COUNT, SQUARE)]
        return list(scalars(metric, from_steps=self.source == "calls"))

    def sketch_place(self, name: str) -> int:
        """Return the key that stands for 0 in the distribution; its others lie around it."""
        return self.sketches.index(name) * SKETCH_WIDTH + SKETCH_WIDTH // 2


def _one_of_each(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    return tuple({base(metric): metric for metric in reversed(metrics)}.values())[::-1]


_ALL: Final = catalogue()
RUNS: Final = Layout(
    "runs",
    (
        *("environment", "agent", "agent_version", "model", "task_type", "variant", "type"),
        *("stop_code", "stop_subject", "stop_reason", "outcome"),
    ),
    _one_of_each([metric for metric in _ALL if metric.run]),
)
CALLS: Final = Layout(
    "calls",
    (*(name for name in STEP_GROUPS if name not in {TENANT, TOOL}), "type", TOOL),
    _one_of_each([metric for metric in _ALL if metric.tool]),
)
SPEND: Final = Layout(
    "spend",
    (*(name for name in STEP_GROUPS if name != TENANT), "type"),
    _one_of_each([metric for metric in _ALL if metric.spend]),
)
LAYOUTS: Final = (RUNS, CALLS, SPEND)
VERSION: Final = "-".join(layout.version for layout in LAYOUTS)
