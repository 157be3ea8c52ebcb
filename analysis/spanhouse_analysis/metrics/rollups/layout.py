"""Which parts are kept of which rows, and by which groups: the shape of a row of ``metric_parts``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spanhouse_analysis.metrics.definitions import Metric, catalogue
from spanhouse_analysis.metrics.query import TOOL
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
        source: the name by which its rows are known.
        rows: what is added up: ``runs``, ``calls`` (tool calls of ended runs) or ``spend`` (calls by their own end).
        groups: columns by which parts are kept apart, beside the tenant.
        metrics: the metrics whose parts are kept, one of each distribution.
    """

    source: str
    rows: str
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
        if self.rows == "spend":
            return [metric.name + part for part in (SUM, OF, COUNT, SQUARE)]
        return list(scalars(metric, from_steps=self.rows == "calls"))

    def sketch_place(self, name: str) -> int:
        """Return the key that stands for 0 in the distribution; its others lie around it."""
        return self.sketches.index(name) * SKETCH_WIDTH + SKETCH_WIDTH // 2


def _one_of_each(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    return tuple({base(metric): metric for metric in reversed(metrics)}.values())[::-1]


_ALL: Final = catalogue()
_OF_ALL: Final = ("environment", "agent", "agent_version", "type")
RUNS: Final = Layout("runs", "runs", _OF_ALL, _one_of_each([metric for metric in _ALL if metric.run]))
STOPS: Final = Layout(
    "stops",
    "runs",
    ("environment", "agent", "type", "stop_code", "stop_subject", "stop_reason"),
    tuple(metric for metric in _ALL if metric.run and metric.kind != "quantile"),
)
"""Runs by why they stopped: many groups, so without distributions."""
CALLS: Final = Layout("calls", "calls", (*_OF_ALL, TOOL), _one_of_each([metric for metric in _ALL if metric.tool]))
SPEND: Final = Layout("spend", "spend", (*_OF_ALL, "model"), _one_of_each([metric for metric in _ALL if metric.spend]))
LAYOUTS: Final = (RUNS, STOPS, CALLS, SPEND)
VERSION: Final = "-".join(layout.version for layout in LAYOUTS)
