"""Where each stream of the audit trail ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.times import micros

_PACKAGE: Final = "spanhouse_storage"


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The last event of a stream.

    Attributes:
        hash: its hash; empty where its sender does not chain.
        events: how many the stream has.
        fresh: how many of them were received since the time asked for.
    """

    tenant: str
    stream: str
    seq: int
    hash: str
    events: int
    fresh: int


def audit_heads(store: Store, since: datetime) -> list[StreamEnd]:
    """Return the end of each stream that received an event since a time, by tenant and stream."""
    rows = store.query(sql.load(_PACKAGE, "audit_heads"), {"since": micros(since)})
    return [
        StreamEnd(row["tenant"], row["stream"], row["last_seq"], row["last_hash"], row["events"], row["fresh"])
        for row in rows.to_pylist()
    ]
