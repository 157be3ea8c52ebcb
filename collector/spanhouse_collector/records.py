"""What passes between the parts of the collector: one body as it was received, and what normalising makes of many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Final, Literal, TypeAlias

import pyarrow as pa

Signal: TypeAlias = Literal["traces", "logs", "metrics"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "logs", "metrics")
"""In this order: the journal writes a signal as its place."""

DEFAULT_TENANT: Final = "default"

_MAX_COLLECTOR: Final = 255
_MAX_TENANT_LENGTH: Final = 256

TRACES_SCHEMA: Final = pa.schema(
    [
        ("tenant", pa.string()),
        ("trace_id", pa.string()),
        ("first_start", pa.timestamp("ns", tz="UTC")),
        ("last_start", pa.timestamp("ns", tz="UTC")),
        ("rooted", pa.bool_()),
    ]
)
"""One row a (tenant, trace) touched by a batch; ids in lower-case hex. ``rooted``: a final root or run span came."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One export request as the journal holds it: protobuf, whatever the sender spoke.

    Attributes:
        signal: which request message ``body`` is, by ``wire.REQUESTS``.
        body: the protobuf bytes. Spans without usable ids were taken out before the journal.
        received_us: when the collector took it, microseconds since the epoch.
        tenant: tenant of the records that name none by ``tenant.id``; at most 256 characters.
        collector: number of the collector, 0 to 255; the last byte of a row's version.
    """

    signal: Signal
    body: bytes
    received_us: int
    tenant: str = DEFAULT_TENANT
    collector: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.collector <= _MAX_COLLECTOR:
            msg = f"collector number {self.collector} does not fit: it must be 0 to {_MAX_COLLECTOR}"
            raise ValueError(msg)
        if len(self.tenant) > _MAX_TENANT_LENGTH:
            msg = f"tenant {self.tenant[:20]!r}... has {len(self.tenant)} characters: at most {_MAX_TENANT_LENGTH}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of each kind a batch gave; counts of two batches add up with ``+``.

    What follows from a record beside its own row is not counted, and stands behind all counted rows of its table.

    Attributes:
        clamped: spans and log records of which some part was cut, replaced or out of range, and marked so.
    """

    spans: int = 0
    audit_events: int = 0
    logs: int = 0
    metric_points: int = 0
    clamped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Normalised:
    """The rows a batch of bodies gives.

    Attributes:
        tables: table name -> rows, with the columns and types of ``spanhouse_storage.tables.SCHEMAS``; a table without
            rows may be absent.
        traces: the traces touched, as ``TRACES_SCHEMA``.
        redacted: (tenant, kind) -> secrets cut out of the rows.
    """

    tables: dict[str, pa.Table]
    traces: pa.Table
    counts: Counts
    redacted: Counter[tuple[str, str]] = field(default_factory=Counter)
