"""Audit events are read in the order they happened, each once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.rows import NOON, rows

from spanhouse_storage import Store
from spanhouse_storage.reads import AUDIT_COLUMNS, AuditFilter, CursorError, audit_events

# That reads work over HTTP as well is proved once, beside the server; here the reads themselves are the subject.
pytestmark = pytest.mark.parametrize("opened", ["embedded"], indirect=True)


def event(seq: int, **columns: Any) -> dict[str, Any]:
    own = {"tenant": "acme", "stream": "r1", "run_id": "r1", "seq": seq, "name": "tool.call", "version": 1}
    return {**own, "time": NOON + timedelta(seconds=seq), **columns}


def seqs(store: Store, wanted: AuditFilter, **options: Any) -> list[int]:
    found: list[int] = audit_events(store, wanted, **options).rows.column("seq").to_pylist()
    return found


def test_events_come_in_order_and_one_sent_again_comes_once(store: Store) -> None:
    store.insert("audit_events", rows("audit_events", event(2), event(0), event(1)), "one")
    store.insert("audit_events", rows("audit_events", event(1, version=2)), "two")
    assert seqs(store, AuditFilter()) == [0, 1, 2]
    assert seqs(store, AuditFilter(), newest_first=True) == [2, 1, 0]
    assert audit_events(store, AuditFilter()).rows.column_names == list(AUDIT_COLUMNS)


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_hold_every_event_once_also_those_of_one_moment(store: Store, *, newest_first: bool) -> None:
    given = [event(seq, time=NOON, stream=f"r{seq % 3}") for seq in range(20)]
    store.insert("audit_events", rows("audit_events", *given), "one")
    seen, cursor = [], None
    while True:
        page = audit_events(store, AuditFilter(), limit=3, cursor=cursor, newest_first=newest_first)
        seen += page.rows.column("seq").to_pylist()
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == seqs(store, AuditFilter(), newest_first=newest_first)
    assert sorted(seen) == list(range(20))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditFilter(run_id="r1"), [0, 1]),
        (AuditFilter(name=["run.end", "decision"]), [1]),
        (AuditFilter(tenant="other"), [2]),
        (AuditFilter(request_id="q", trace_id="t", agent="a", tool="x", decision="deny", status="denied"), [2]),
        (AuditFilter(since=NOON + timedelta(seconds=1)), [1, 2]),
        (AuditFilter(until=NOON + timedelta(seconds=1)), [0]),
        (AuditFilter(run_id="nobody"), []),
    ],
)
def test_a_filter_keeps_what_is_true_of_all_its_conditions(
    store: Store, wanted: AuditFilter, expected: list[int]
) -> None:
    said = {"request_id": "q", "trace_id": "t", "agent": "a", "tool": "x", "decision": "deny", "status": "denied"}
    given = [event(0), event(1, name="run.end"), event(2, tenant="other", run_id="r2", stream="r2", **said)]
    store.insert("audit_events", rows("audit_events", *given), "one")
    assert seqs(store, wanted) == expected


def test_a_cursor_belongs_to_its_direction(store: Store) -> None:
    store.insert("audit_events", rows("audit_events", event(0), event(1)), "one")
    cursor = audit_events(store, AuditFilter(), limit=1).next_cursor
    with pytest.raises(CursorError):
        audit_events(store, AuditFilter(), cursor=cursor, newest_first=True)
