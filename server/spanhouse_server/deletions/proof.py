"""What is written down of every deletion: rows of the table `deletions`, and an event in the tenant's control trail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Engine

from spanhouse_server.audit import outbox
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
        state: keeps the events until they are sent.
        send: sends them; what it cannot, it sends another time.
    """

    def __init__(self, store: Store, state: Engine, send: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._store, self._state, self._send = store, state, send

    def write(self, deletion_id: str, kind: str, by: str, lines: Iterable[Line], now: datetime) -> None:
        """Write a deletion down; written again under its id it replaces itself.

        Raises:
            StorageError: the store does not take it.
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
        with self._state.begin() as connection:
            for tenant in sorted({each.tenant for each in given}):
                tables: list[dict[str, Any]] = [
                    {"table": each.table, "what": each.what, "rows": each.rows, "policy": each.policy or None}
                    for each in given
                    if each.tenant == tenant
                ]
                said = {"deletion": deletion_id, "kind": kind, "by": by, "tables": tables}
                outbox.note(connection, "deletion", said, tenant=tenant, at=now)
        asyncio.run(self._send())
