"""What is written down of every deletion: rows of the table `deletions`, and an event in the tenant's control trail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Engine

from spanhouse_collector.records import RawRecord
from spanhouse_server.control.audit import record
from spanhouse_server.control.flags import take_number
from spanhouse_storage.contract import Store
from spanhouse_storage.tables import SCHEMAS


@dataclass(frozen=True, slots=True)
class Line:
    """What one deletion took of one tenant's rows in one table.

    Attributes:
        what: rows, content, or body.
        policy: what asked for it, in the policy file's words; empty for a request.
        subject: hash of who was meant; empty for retention.
    """

    tenant: str
    table: str
    what: str
    rows: int
    first: datetime | None = None
    last: datetime | None = None
    policy: str = ""
    subject: str = ""


class Proof:
    """Writes deletions down. For one thread at a time.

    Args:
        store: where the table `deletions` is.
        state: numbers the events.
        submit: returns once an event is durable.
    """

    def __init__(self, store: Store, state: Engine, submit: Callable[[RawRecord], Awaitable[None]]) -> None:
        self._store, self._state, self._submit = store, state, submit

    def write(self, deletion_id: str, kind: str, by: str, lines: Iterable[Line], now: datetime) -> None:
        """Write a deletion down; written again under its id it replaces itself.

        Raises:
            StorageError: the store does not take it.
            JournalUnavailableError: the journal does not take the event.
        """
        given = list(lines)
        rows = [
            {
                "tenant": each.tenant,
                "deletion_id": deletion_id,
                "table_name": each.table,
                "what": each.what,
                "time": now,
                "version": int(now.timestamp() * 1e6),
                "kind": kind,
                "rows": each.rows,
                "first": each.first,
                "last": each.last,
                "by": by,
                "policy": each.policy,
                "subject": each.subject,
            }
            for each in given
        ]
        token = f"deletion:{deletion_id}:{int(now.timestamp() * 1e6)}"
        self._store.insert("deletions", pa.Table.from_pylist(rows, schema=SCHEMAS["deletions"]), token)
        for tenant in sorted({each.tenant for each in given}):
            with self._state.begin() as connection:
                number = take_number(connection, now)
            tables: list[dict[str, Any]] = [
                {"table": each.table, "what": each.what, "rows": each.rows, "policy": each.policy or None}
                for each in given
                if each.tenant == tenant
            ]
            said = {"deletion": deletion_id, "kind": kind, "by": by, "tables": tables}
            asyncio.run(self._send(record("deletion", said, tenant=tenant, seq=number, at=now)))

    async def _send(self, event: RawRecord) -> None:
        await self._submit(event)
