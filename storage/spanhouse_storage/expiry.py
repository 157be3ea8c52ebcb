"""Removing what is past its time, a few partitions at a call: whole weeks dropped, shared ones rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.retention import (
    CONTENT_IN,
    ROWS_OF,
    Kind,
    Retention,
    past,
    past_content,
)
from spanhouse_storage.screen import CONTENT, LONGEST

_PACKAGE: Final = "spanhouse_storage"
SLACK: Final = timedelta(days=1)
"""How long rows that nobody can read any more may lie on disk before a shared partition is rewritten without them."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one removal took of one tenant.

    Attributes:
        what: rows, or content (the rows stay).
        partition: the week, or "all" where a table has one partition.
        first: time of the oldest row that went.
        last: and of the newest.
    """

    table: str
    tenant: str
    kind: Kind
    what: str
    partition: str
    rows: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class ContentKeys:
    """Keys of span attributes that hold content, by name and by how they begin."""

    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


def overdue(store: Store, retention: Retention, now: datetime) -> list[Removed]:
    """Return what is past its time and still stored, by table, partition and tenant, the oldest partition first."""
    return [*_overdue_rows(store, retention, now), *_overdue_content(store, retention, now)]


def remove(
    store: Store,
    retention: Retention,
    now: datetime,
    *,
    keys: ContentKeys,
    note: Callable[[list[Removed]], None],
    most: int = 8,
    eager: bool = False,
) -> bool:
    """Remove what is past its time and return whether nothing is left to do at this moment.

    Args:
        store: the store itself, not one narrowed to what is kept.
        retention: the lives.
        now: the moment.
        keys: which attributes go with content.
        note: told of each removal once it is done; what it raises ends the call. A removal that a crash kept from being
            noted is not repeated, as nothing is left of it.
        most: partitions that are rewritten or dropped at most.
        eager: rewrite shared partitions for a single row, not only once rows have been past their time for a day.
    """
    taken = 0
    for table, partition, found in _by_partition(_overdue_rows(store, retention, now)):
        if not _all_gone(store, table, partition, found):
            oldest = min(each.first for each in found if each.first)
            lives = [life for each in found if (life := retention.of(each.tenant).of(each.kind)) is not None]
            if not eager and oldest > now - min(lives) - SLACK:
                continue
            if taken == most:
                return False
            _mutate(store, table, partition, "DELETE", past(retention, table, now))
        else:
            if taken == most:
                return False
            store.execute(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
        taken += 1
        note(found)
    for table, partition, found in _by_partition(_overdue_content(store, retention, now)):
        if taken == most:
            return False
        _mutate(store, table, partition, _content_change(table, keys), past_content(retention, table, now))
        taken += 1
        note(found)
    return True


def _overdue_rows(store: Store, retention: Retention, now: datetime) -> Iterator[Removed]:
    for table, (kind, _, _) in ROWS_OF.items():
        condition = past(retention, table, now)
        if condition:
            yield from _found(store, table, kind, "rows", condition)


def _overdue_content(store: Store, retention: Retention, now: datetime) -> Iterator[Removed]:
    for table in CONTENT_IN:
        condition = past_content(retention, table, now)
        if condition:
            held = " OR ".join(f"{name} != ''" for name in CONTENT[table])
            yield from _found(store, table, "content", "content", f"({condition}) AND ({held})")


def _found(store: Store, table: str, kind: Kind, what: str, condition: str) -> Iterator[Removed]:
    time = ROWS_OF[table][1]
    statement = sql.compose(_PACKAGE, "overdue", table=table, time=time, condition=condition)
    for row in store.query(statement).to_pylist():
        yield Removed(table, kind=kind, what=what, **row)


def _by_partition(found: Iterable[Removed]) -> Iterator[tuple[str, str, list[Removed]]]:
    groups: dict[tuple[str, str], list[Removed]] = {}
    for each in found:
        groups.setdefault((each.table, each.partition), []).append(each)
    for (table, partition), members in sorted(groups.items(), key=lambda item: item[0][1]):
        yield table, partition, members


def _all_gone(store: Store, table: str, partition: str, found: list[Removed]) -> bool:
    statement = f"SELECT count() AS rows FROM {table} WHERE _partition_id = {{partition:String}}"  # noqa: S608 - our own
    rows = store.query(statement, {"partition": partition}).column("rows")[0].as_py()
    return int(rows) == sum(each.rows for each in found)


def _mutate(store: Store, table: str, partition: str, change: str, condition: str) -> None:
    where = f"_partition_id = '{partition}' AND ({condition})"
    store.execute(f"ALTER TABLE {table} {change} WHERE {where} SETTINGS mutations_sync = 2")


def _content_change(table: str, keys: ContentKeys) -> str:
    emptied = [f"{name} = ''" for name in CONTENT[table]]
    if table == "spans":
        tests = [f"length(v) > {LONGEST}", "startsWith(v, '@')"]
        if keys.names:
            tests.append(f"k IN ({', '.join(map(_quoted, keys.names))})")
        tests += [f"startsWith(k, {_quoted(prefix)})" for prefix in keys.prefixes]
        emptied.append(f"attributes = mapFilter((k, v) -> NOT ({' OR '.join(tests)}), attributes)")
    return f"UPDATE {', '.join(emptied)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
