"""Chained audit events as an SDK sends them, made without one, and what a bad owner of the store does to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from spanhouse import attributes as keys
from spanhouse.audit.chain import Link, body_hash, genesis, link_hash, time_us
from spanhouse.canonical import canonical_json

Row = dict[str, Any]


def chained(stream: str, count: int, *, at: datetime, tenant: str = "acme", chain: bool = True) -> list[Row]:
    """Return rows of ``audit_events`` of a run, numbered from 1 and chained."""
    head, rows = genesis(stream), list[Row]()
    for seq in range(1, count + 1):
        data = canonical_json({"tool": f"t{seq}", "args_hash": f"{seq:016x}", "status": "ok"})
        row: Row = {"tenant": tenant, "stream": stream, "run_id": stream, "seq": seq, "name": "tool.call"}
        row |= {"time": at + timedelta(milliseconds=seq), "event_version": 1, "agent": "worker", "data": data}
        row |= {"request_id": f"q-{stream}", "prev_hash": "", "hash": "", "body_hash": ""}
        if chain:
            head = relinked(row, head)
        rows.append(row)
    return rows


def relinked(row: Row, previous: str) -> str:
    """Give a row the hashes that it has after another one, and return its own."""
    row["body_hash"] = body_hash(row["data"])
    link = Link(
        stream=row["stream"],
        seq=row["seq"],
        name=row["name"],
        version=row["event_version"],
        time_us=time_us(row["time"].isoformat()),
        request_id=row["request_id"],
        agent=row["agent"],
        agent_version=row.get("agent_version") or "",
        step=row.get("step"),
        body_hash=row["body_hash"],
    )
    row["prev_hash"], row["hash"] = previous, link_hash(previous, link)
    return str(row["hash"])


def otlp(rows: list[Row]) -> bytes:
    """Return rows as the OTLP request that makes them."""
    records = []
    for row in rows:
        said: dict[str, str | int] = {
            keys.TENANT: row["tenant"],
            keys.RUN_ID: row["run_id"],
            keys.REQUEST_ID: row["request_id"],
            keys.AGENT_NAME: row["agent"],
            keys.AUDIT_SEQ: row["seq"],
            keys.AUDIT_VERSION: row["event_version"],
            keys.AUDIT_PREV_HASH: row["prev_hash"],
            keys.AUDIT_HASH: row["hash"],
            keys.AUDIT_BODY_HASH: row["body_hash"],
        }
        records.append(
            LogRecord(
                time_unix_nano=time_us(row["time"].isoformat()) * 1_000,
                event_name=row["name"],
                body=AnyValue(string_value=row["data"]),
                attributes=[KeyValue(key=key, value=_value(value)) for key, value in said.items() if value != ""],
            )
        )
    scope = ScopeLogs(scope=InstrumentationScope(name=keys.AUDIT_SCOPE), log_records=records)
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])]).SerializeToString()


def _value(value: str | int) -> AnyValue:
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)


def edit(rows: list[Row], dice: random.Random) -> int:
    """Change something of one event, and return the first bad number."""
    row = dice.choice(rows)
    change = dice.randrange(5)
    if change == 0:
        row["data"] = row["data"].replace('"ok"', '"denied"')
    elif change == 1:
        row["time"] += timedelta(seconds=1)
    elif change == 2:
        row["name"] = "policy.decision"
    elif change == 3:
        row["agent"] = "somebody else"
    else:
        # Whoever can count also gives it the hashes it would have, but cannot those of all that follow.
        row["data"] = row["data"].replace('"ok"', '"error"')
        relinked(row, row["prev_hash"])
        # Of the last event only a checkpoint tells, and not which of the events that it signed was the first.
        return 1 if row is rows[-1] else int(row["seq"]) + 1
    return int(row["seq"])


def delete(rows: list[Row], dice: random.Random) -> int:
    """Take an event out of the middle, and return the first bad number."""
    place = dice.randrange(len(rows) - 1)
    del rows[place]
    return place + 1


def insert(rows: list[Row], dice: random.Random) -> int:
    """Put an event in and move the later ones on, and return the first bad number."""
    place = dice.randrange(len(rows))
    rows.insert(place, dict(rows[place], data='{"tool":"forged"}'))
    for row in rows[place + 1 :]:
        row["seq"] += 1
    return place + 1


def swap(rows: list[Row], dice: random.Random) -> int:
    """Let two events change places, and return the first bad number."""
    first, second = sorted(dice.sample(range(len(rows)), 2))
    rows[first], rows[second] = rows[second], rows[first]
    rows[first]["seq"], rows[second]["seq"] = rows[second]["seq"], rows[first]["seq"]
    return first + 1


def truncate(rows: list[Row], dice: random.Random) -> int:
    """Take the last events away, and return the first bad number."""
    left = dice.randrange(1, len(rows))
    del rows[left:]
    return left + 1


def rewrite(rows: list[Row], dice: random.Random) -> int:
    """Change an event and give all that follow the hashes that make the chain whole again; 1 is the first bad number.

    The whole trail was signed at once, so nothing tells the changed event from those before it.
    """
    place = dice.randrange(len(rows))
    rows[place]["data"] = rows[place]["data"].replace('"ok"', '"denied"')
    head = rows[place]["prev_hash"]
    for row in rows[place:]:
        head = relinked(row, head)
    return 1


TAMPERINGS: dict[str, Callable[[list[Row], random.Random], int]] = {
    each.__name__: each for each in (edit, delete, insert, swap, truncate, rewrite)
}
