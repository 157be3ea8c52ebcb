"""Which runs changed, and how those that a filter is about stand now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.filters import RunFilter, where
from spanhouse_storage.reads.runs import STORED_COLUMNS, with_audit_counts

_PACKAGE: Final = "spanhouse_storage"
MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """A newer row of a run.

    Attributes:
        version: orders the changes: the microsecond the row was computed in.
        ended: whether the run is over.
        started_at: when the run began.
        kind: start, change or end; empty where nobody has said yet.
    """

    tenant: str
    run_id: str
    version: int
    ended: bool
    started_at: datetime
    kind: str = ""

    def called(self, kind: str) -> Change:
        """Return the change as one of this kind."""
        return replace(self, kind=kind)


def changed_runs(store: Store, since: int, *, limit: int = MOST) -> list[Change]:
    """Return the runs with a row newer than the version, oldest change first."""
    found = store.query(sql.load(_PACKAGE, "changed_runs"), {"since": max(since, 0), "limit": limit})
    micro = found.set_column(
        found.column_names.index("began"), "began", found.column("began").cast(pa.timestamp("us", "UTC"), safe=False)
    )
    return [
        Change(row["tenant"], row["run_id"], row["newest"], bool(row["is_over"]), row["began"])
        for row in micro.to_pylist()
    ]


def running_runs(store: Store) -> set[tuple[str, str]]:
    """Return tenant and id of the runs that go on."""
    condition, parameters = where(RunFilter(status="running"), lone_calls=True)
    found = store.query(sql.compose(_PACKAGE, "runs_that_pass", where=condition), parameters)
    return set(zip(found.column("tenant").to_pylist(), found.column("run_id").to_pylist(), strict=True))


def runs_among(store: Store, changes: Sequence[Change], wanted: RunFilter) -> pa.Table:
    """Return those of the changed runs that pass the filter, with `RUN_COLUMNS`, in no order."""
    second = timedelta(seconds=1)
    begun = [change.started_at for change in changes]
    first, last = min(begun) - second, max(begun) + second
    since = first if wanted.since is None else max(first, wanted.since)
    until = last if wanted.until is None else min(last, wanted.until)
    condition, parameters = where(replace(wanted, since=since, until=until))
    among = [(change.tenant, change.run_id) for change in changes]
    statement = sql.compose(_PACKAGE, "runs_among", columns=", ".join(STORED_COLUMNS), where=condition)
    return with_audit_counts(store, store.query(statement, {**parameters, "among": among}))
