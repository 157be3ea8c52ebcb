"""What is kept of rows about to be inserted: not those past their time, and none of whoever was erased."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_storage.retention import Retention, past_rows
from spanhouse_storage.tombstones import Tombstones

ERASED_BODY: Final = json.dumps({"erased": True}, separators=(",", ":"))
"""What stands in place of an audit event's own fields; its place in the trail stays."""

CONTENT: Final[Mapping[str, tuple[str, ...]]] = {
    "spans": ("input", "output", "system_instructions", "tool_definitions", "events"),
    "runs": ("input_preview", "output_preview"),
}
"""Columns that go when content does; of a span's attributes those that hold content go too."""


@dataclass(frozen=True)
class Screened:
    """What is left of some rows.

    Attributes:
        expired: which of the rows given were past their time.
        erased: which of them belong to whoever was erased.
    """

    rows: pa.Table
    expired: np.ndarray
    erased: np.ndarray


@dataclass
class Screen:
    """Decides what may be stored. Calls are safe from any thread.

    Args:
        retention: returns the lives that hold now.
        tombstones: who was erased; None where nobody can have been.
        is_content: whether an attribute of this key holds content.
        clock: the time, aware.
    """

    retention: Callable[[], Retention] = Retention
    tombstones: Tombstones | None = None
    is_content: Callable[[str], bool] = lambda _: False
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __call__(self, table: str, rows: pa.Table) -> Screened:
        """Return what is left of rows for a table."""
        now, retention = self.clock(), self.retention()
        expired = past_rows(retention, table, rows, now)
        erased = self.tombstones.erased(table, rows) if self.tombstones else np.zeros(rows.num_rows, bool)
        if table == "audit_events" and erased.any():
            # The trail keeps its length and order; only what the event said goes.
            place = rows.schema.get_field_index("data")
            bodies = pc.if_else(pa.array(erased), ERASED_BODY, rows["data"])
            rows = rows.set_column(place, rows.schema.field(place), bodies)
            erased = np.zeros(rows.num_rows, bool)
        gone = expired | erased
        left = rows.filter(pa.array(~gone)) if gone.any() else rows
        if table in CONTENT:
            left = self._without_old_content(table, left, past_rows(retention, table, left, now, content=True))
        return Screened(left, expired, erased & ~expired)

    def _without_old_content(self, table: str, rows: pa.Table, old: np.ndarray) -> pa.Table:
        if not old.any():
            return rows
        for name in CONTENT[table]:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), pc.if_else(pa.array(old), "", rows[name]))
        if table == "spans":
            place, kept = rows.schema.get_field_index("attributes"), []
            for attributes, is_old in zip(rows["attributes"].to_pylist(), old, strict=True):
                kept.append([(k, v) for k, v in attributes if not (is_old and self._goes(k, v))])
            rows = rows.set_column(place, rows.schema.field(place), pa.array(kept, rows.schema.field(place).type))
        return rows

    def _goes(self, key: str, value: str) -> bool:
        return value.startswith("@") or len(value.encode()) > LONGEST or self.is_content(key)


LONGEST: Final = 500
"""Bytes of an attribute that is known for no content; what is longer is taken for some."""
