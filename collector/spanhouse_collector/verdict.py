"""What a check found in a request: how much of it can be taken, and what cannot, why and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_NAMED: Final = 3
"""Refused records that the message names; the counts cover the rest."""


class Reason(StrEnum):
    """Why a record is refused, as the sender is told."""

    TRACE_ID_MISSING = "trace id missing"
    TRACE_ID_LENGTH = "trace id is not 16 bytes (32 hex digits)"
    TRACE_ID_ZERO = "trace id is all zero"
    SPAN_ID_MISSING = "span id missing"
    SPAN_ID_LENGTH = "span id is not 8 bytes (16 hex digits)"
    SPAN_ID_ZERO = "span id is all zero"
    TENANT = "tenant is none of the key's"
    TENANT_MISSING = "no tenant is named, and the key has several"
    BODY = "log body is no value"
    METRIC_NAME = "metric has no name"
    METRIC_DATA = "metric data cannot be read"
    POINT_TIME = "data point has no time"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused record: where in the request it stands, why, and what it calls itself.

    Attributes:
        point: of a metric, which of its data points; None where the metric itself is at fault.
    """

    resource: int
    scope: int
    index: int
    reason: Reason
    label: str
    point: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        accepted: spans, log records or data points that can be taken.
        rejections: those that cannot, in the request's order.
        hint: what the sender probably did, where all of it is wrong in one way; else empty.
    """

    accepted: int
    rejections: list[Rejection] = field(default_factory=list)
    hint: str = ""

    @property
    def reasons(self) -> Counter[Reason]:
        """How many were refused for each reason."""
        return Counter(rejection.reason for rejection in self.rejections)

    @property
    def message(self) -> str:
        """What to tell the sender; empty where nothing was refused."""
        if not self.rejections:
            return ""
        total = self.accepted + len(self.rejections)
        counts = "; ".join(f"{count} x {reason.value}" for reason, count in self.reasons.most_common())
        named = ", ".join(rejection.label for rejection in self.rejections[:_NAMED])
        return f"{len(self.rejections)} of {total} records refused: {counts} (first: {named}). {self.hint}".rstrip()
