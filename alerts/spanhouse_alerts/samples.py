"""What an evaluation asks of the metrics, and what it gets: the border between rules and stored data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the metrics: a metric between two moments, one figure a group."""

    metric: str
    since: datetime
    until: datetime
    by: tuple[str, ...] = ()
    filters: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """The figure of one group.

    Attributes:
        labels: value of each dimension asked for.
        value: None where there was nothing to measure.
        numerator: of a ratio, what was counted; of a sum, the sum.
        denominator: of a ratio, out of how many.
    """

    labels: Mapping[str, str]
    value: float | None
    numerator: float | None = None
    denominator: float | None = None


class Samples(Protocol):
    """Where figures come from: the stored metrics, or a table in a test."""

    def read(self, request: Request) -> Sequence[Sample]:
        """Return the figure of every group that has any data; raises where the metrics cannot be read."""
        ...
