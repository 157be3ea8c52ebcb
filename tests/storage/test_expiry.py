"""What is past its time is read by nobody at once, and gone from the tables soon after, with a word on each removal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rows import NOON, rows, run, span

from spanhouse_storage import StorageError, Store, migrate, open_store
from spanhouse_storage.expiry import ContentKeys, Removed, overdue, remove
from spanhouse_storage.kept import KeptStore
from spanhouse_storage.narrowing import SETTING
from spanhouse_storage.retention import KINDS, Lives, Retention, removed_by
from spanhouse_storage.screen import Screen
from spanhouse_storage.tables import SCHEMAS
from spanhouse_storage.tenants import TenantStore

DAY = timedelta(days=1)
SHORT = Retention(
    Lives(content=30 * DAY, spans=90 * DAY, runs=400 * DAY),
    {"acme": Lives(content=2 * DAY, spans=7 * DAY, logs=7 * DAY, runs=30 * DAY, audit=60 * DAY)},
)


@pytest.fixture(scope="module")
def opened_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "s")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened_once: Store) -> Store:
    for table in SCHEMAS:
        opened_once.execute(f"TRUNCATE TABLE {table}")
    return opened_once


def kept(
    store: Store, now: datetime, retention: Retention = SHORT, removed: dict[str, datetime] | None = None
) -> KeptStore:
    return KeptStore(
        store,
        Screen(lambda: retention, clock=lambda: now),
        retention=lambda: retention,
        removed=lambda: {} if removed is None else removed,
        clock=lambda: now,
    )


def ids(store: Any, table: str = "spans", column: str = "span_id") -> list[str]:
    return sorted(store.query(f"SELECT {column} FROM {table}").column(column).to_pylist())


def test_rows_are_hidden_from_the_minute_they_are_past_their_time(store: Store) -> None:
    store.insert("spans", rows("spans", span("t", "a"), span("t", "b", tenant="globex")), "one")
    marks = {"acme": NOON + 99 * DAY, "": NOON + 99 * DAY}
    assert ids(kept(store, NOON + 7 * DAY - timedelta(minutes=1), removed=marks)) == ["a", "b"]
    assert ids(kept(store, NOON + 7 * DAY + timedelta(minutes=1), removed=marks)) == ["b"]
    assert ids(kept(store, NOON + 90 * DAY + timedelta(minutes=1), removed=marks)) == []
    assert ids(store) == ["a", "b"]


def test_a_span_whose_content_should_be_gone_and_is_not_is_hidden_whole(store: Store) -> None:
    """After days without a server, nobody reads what the job has not yet had time to remove."""
    store.insert("spans", rows("spans", span("t", "a", input="secret")), "one")
    now = NOON + 3 * DAY
    assert ids(kept(store, now)) == []
    assert ids(kept(store, now, removed=removed_by(SHORT, now))) == ["a"]


def test_a_row_with_an_unusable_time_lives_from_its_receipt(store: Store) -> None:
    odd = datetime(1970, 1, 1, tzinfo=UTC)
    store.insert("spans", rows("spans", span("t", "a", start=odd, bucket=odd, received_at=NOON)), "one")
    marks = {"acme": NOON + 99 * DAY}
    assert ids(kept(store, NOON + 6 * DAY, removed=marks)) == ["a"]
    assert ids(kept(store, NOON + 8 * DAY, removed=marks)) == []


def test_a_reader_of_one_tenant_is_narrowed_by_both(store: Store) -> None:
    store.insert("runs", rows("runs", run("r1"), run("r2", tenant="globex")), "one")
    later = kept(store, NOON + 31 * DAY, removed={"acme": NOON + 99 * DAY, "": NOON + 99 * DAY})
    assert ids(TenantStore(later, ["acme", "globex"]), "runs", "run_id") == ["r2"]
    assert ids(TenantStore(later, ["acme"]), "runs", "run_id") == []


def test_a_filter_that_would_replace_the_retentions_own_is_refused(store: Store) -> None:
    with pytest.raises(StorageError, match="TableFilters"):
        kept(store, NOON).query("SELECT 1 FROM spans", settings={SETTING: "{'spans': '1'}"})


def test_without_retention_a_query_is_passed_on_as_it_is(store: Store) -> None:
    store.insert("spans", rows("spans", span("t", "a")), "one")
    assert ids(kept(store, NOON + 9_999 * DAY, Retention())) == ["a"]


def _removed(store: Store, now: datetime, **how: Any) -> tuple[list[Removed], bool]:
    noted: list[Removed] = []
    done = remove(store, SHORT, now, keys=ContentKeys(("prompt",), ("gen_ai.",)), note=noted.extend, **how)
    return noted, done


def test_a_week_wholly_past_is_dropped_and_a_shared_one_rewritten(store: Store) -> None:
    mine, theirs = span("t", "a"), span("t", "b", tenant="globex")
    week = 7 * DAY
    store.insert("spans", rows("spans", mine, theirs, span("t", "old", start=NOON - week)), "one")
    noted, done = _removed(store, NOON + 14 * DAY)
    assert done
    assert ids(store) == ["b"]
    gone = {(each.partition, each.tenant, each.what, each.rows) for each in noted if each.table == "spans"}
    assert gone == {("20260223", "acme", "rows", 1), ("20260302", "acme", "rows", 1)}
    assert _removed(store, NOON + 14 * DAY) == ([], True)


def test_a_shared_week_is_not_rewritten_for_the_rows_of_an_hour(store: Store) -> None:
    store.insert("spans", rows("spans", span("t", "a"), span("t", "b", tenant="globex")), "one")
    just = NOON + 7 * DAY + timedelta(hours=1)
    assert _removed(store, just) == ([], True)
    assert [each.rows for each in _removed(store, just, eager=True)[0]] == [1]


def test_content_goes_before_its_time_and_the_span_stays(store: Store) -> None:
    attributes = [("gen_ai.input", "x"), ("prompt", "y"), ("plan", "z"), ("long", "w" * 600), ("ref", "@input")]
    row = span("t", "a", input="in", output="out", events="[1]", attributes=attributes, cost_usd=0.5)
    store.insert("spans", rows("spans", row), "one")
    store.insert("runs", rows("runs", run("r1", input_preview="in", cost_usd=0.5)), "two")
    now = NOON + 1 * DAY + timedelta(minutes=1)
    noted, done = _removed(store, now)
    assert done
    assert {(each.table, each.what, each.rows) for each in noted} == {("spans", "content", 1), ("runs", "content", 1)}
    left = store.query("SELECT input, output, events, attributes, cost_usd FROM spans").to_pylist()
    assert left == [{"input": "", "output": "", "events": "", "attributes": [("plan", "z")], "cost_usd": 0.5}]
    assert store.query("SELECT input_preview, cost_usd FROM runs").to_pylist() == [
        {"input_preview": "", "cost_usd": 0.5}
    ]


def test_a_call_is_bounded_and_the_next_goes_on(store: Store) -> None:
    weeks = [span("t", f"s{week}", start=NOON - week * 7 * DAY) for week in range(5)]
    store.insert("spans", rows("spans", *weeks), "one")
    now = NOON + 30 * DAY
    assert _removed(store, now, most=2)[1] is False
    assert len(ids(store)) == 3
    assert _removed(store, now, most=8)[1] is True
    assert ids(store) == []


def test_audit_events_outlive_everything(store: Store) -> None:
    store.insert("audit_events", rows("audit_events", {"tenant": "acme", "stream": "r1"}), "one")
    store.insert("runs", rows("runs", run("r1")), "two")
    _removed(store, NOON + 45 * DAY)
    assert (ids(store, "runs", "run_id"), ids(store, "audit_events", "stream")) == ([], ["r1"])
    _removed(store, NOON + 62 * DAY)
    assert ids(store, "audit_events", "stream") == []


def test_what_comes_too_late_is_not_stored_and_what_is_late_comes_without_content(store: Store) -> None:
    now = NOON + 8 * DAY
    late = kept(store, now)
    attributes = [("gen_ai.x", "kept: no key of content here"), ("ref", "@input")]
    recent = span("t", "b", start=NOON + 5 * DAY, input="x", attributes=attributes)
    late.insert("spans", rows("spans", span("t", "a"), recent, span("t", "c", start=now, input="y")), "one")
    found = store.query("SELECT span_id, input, attributes FROM spans ORDER BY span_id").to_pylist()
    assert [(row["span_id"], row["input"]) for row in found] == [("b", ""), ("c", "y")]
    assert found[0]["attributes"] == attributes[:1]


def test_nothing_is_overdue_where_all_is_kept_for_ever(store: Store) -> None:
    store.insert("spans", rows("spans", span("t", "a", start=datetime(2016, 1, 1, tzinfo=UTC))), "one")
    assert overdue(store, Retention(), NOON + 9_999 * DAY) == []


@given(
    lives=st.fixed_dictionaries({kind: st.none() | st.timedeltas(DAY, 500 * DAY) for kind in KINDS}),
    age=st.timedeltas(timedelta(minutes=2), 600 * DAY),
)
def test_content_never_outlives_spans_nor_spans_runs_nor_runs_audit(lives: Any, age: timedelta) -> None:
    made = Lives(**lives)
    if made.disorder():
        return
    order = [made.of(kind) for kind in ("content", "spans", "runs", "audit")]
    alive = [life is None or age < life for life in order]
    assert alive == sorted(alive)
