"""Spans are read once each, in their newest version, however they arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.rows import FINAL, NOON, rows, span

from spanhouse_storage import QueryError, Store
from spanhouse_storage.reads import (
    CONTENT_COLUMNS,
    SLIM_COLUMNS,
    CursorError,
    find_traces,
    spans_of_traces,
    spans_page,
    traces_received_since,
)
from spanhouse_storage.reads import span as one_span

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_span_sent_again_is_read_once_in_its_newest_version(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a", version=FINAL | 1, name="old")), "one")
    store.insert("spans", rows("spans", span("t1", "a", version=FINAL | 2, name="new")), "two")
    assert spans_of_traces(store, [("acme", "t1")], columns=["name"]).to_pylist() == [{"name": "new"}]


def test_a_start_record_that_comes_late_does_not_bury_the_finished_span(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a", version=FINAL | (5 << 8), name="finished")), "one")
    late = span("t1", "a", version=9 << 8, is_final=False, name="started")
    store.insert("spans", rows("spans", late), "two")
    assert spans_page(store, "acme", "t1").rows.column("name").to_pylist() == ["finished"]


def test_a_span_whose_start_moved_to_another_hour_is_read_once(store: Store) -> None:
    """Its sorting key differs, so no merge will ever fold the two rows; the read does."""
    store.insert("spans", rows("spans", span("t1", "a", version=1, start=NOON)), "one")
    store.insert("spans", rows("spans", span("t1", "a", version=2, start=at(7200), name="moved")), "two")
    assert spans_of_traces(store, [("acme", "t1")], columns=["name"]).to_pylist() == [{"name": "moved"}]
    assert spans_page(store, "acme", "t1").rows.column("name").to_pylist() == ["moved"]


def test_a_trace_id_of_another_tenant_is_another_trace(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a"), span("t1", "b", tenant="other")), "one")
    found = spans_of_traces(store, [("acme", "t1"), ("other", "t2")], columns=["span_id"])
    assert found.column("span_id").to_pylist() == ["a"]


def test_more_traces_than_fit_a_statement_are_all_read_and_none_twice(store: Store) -> None:
    traces = [("acme", f"{number:032x}") for number in range(8_000)]
    store.insert("spans", rows("spans", *(span(trace, "a") for _, trace in traces[::100])), "one")
    found = spans_of_traces(store, [*traces, *traces[:500]], columns=["trace_id"]).column("trace_id").to_pylist()
    assert sorted(found) == [trace for _, trace in traces[::100]]


def test_a_time_bound_keeps_spans_inside_it_and_those_without_a_usable_time(store: Store) -> None:
    store.insert(
        "spans",
        rows(
            "spans",
            span("t1", "early", start=at(-7200)),
            span("t1", "inside", start=NOON),
            span("t1", "late", start=at(7200)),
            span("t1", "odd", start=EPOCH),
        ),
        "one",
    )
    found = spans_of_traces(store, [("acme", "t1")], columns=["span_id"], since=NOON, until=NOON)
    assert sorted(found.column("span_id").to_pylist()) == ["inside", "odd"]


def test_no_traces_is_an_empty_table_with_the_same_columns(store: Store) -> None:
    store.insert("spans", rows("spans", span()), "one")
    names = list(SLIM_COLUMNS)
    assert spans_of_traces(store, []).column_names == spans_of_traces(store, [("acme", "t1")]).column_names == names


@pytest.mark.parametrize("column", ["bucket", "nowhere", "name; DROP TABLE spans"])
def test_a_column_that_is_not_for_reading_is_refused(store: Store, column: str) -> None:
    with pytest.raises(QueryError, match="the columns are tenant, trace_id"):
        spans_of_traces(store, [("acme", "t1")], columns=[column])


def test_pages_hold_every_span_once_in_order_of_start(store: Store) -> None:
    given = [span("t1", f"s{number:03}", start=at(number // 3)) for number in range(50)]
    store.insert("spans", rows("spans", *reversed(given)), "one")
    store.insert("spans", rows("spans", *given), "again")
    seen: list[str] = []
    cursor = None
    while True:
        page = spans_page(store, "acme", "t1", cursor=cursor, limit=7)
        seen += page.rows.column("span_id").to_pylist()
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [row["span_id"] for row in given]


def test_a_page_of_some_spans_is_of_those_alone(store: Store) -> None:
    store.insert("spans", rows("spans", *(span("t1", name) for name in "abc")), "one")
    assert spans_page(store, "acme", "t1", ["c", "a"]).rows.column("span_id").to_pylist() == ["a", "c"]
    assert spans_page(store, "acme", "t1", []).rows.num_rows == 0


def test_content_is_read_only_when_asked_for(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a", input="in", attributes=[("k", "v")])), "one")
    assert spans_page(store, "acme", "t1").rows.column_names == list(SLIM_COLUMNS)
    full = spans_page(store, "acme", "t1", content=True).rows
    assert full.column_names == list(CONTENT_COLUMNS)
    assert (full.column("input")[0].as_py(), full.column("attributes")[0].as_py()) == ("in", [("k", "v")])


def test_one_span_is_one_row_with_its_content_or_none(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a", output="out")), "one")
    assert one_span(store, "acme", "t1", "a").column("output").to_pylist() == ["out"]
    assert one_span(store, "acme", "t1", "b").num_rows == 0


def test_a_cursor_of_another_list_is_refused(store: Store) -> None:
    for cursor in ("nonsense", "", "WyJydW5zIiwxLCJhIl0", "!!!"):
        with pytest.raises(CursorError, match="leave it out to start at the first page"):
            spans_page(store, "acme", "t1", cursor=cursor)


IDS = [
    ("request_id", {"request_id": "id"}),
    ("run_id", {"run_hint": "id"}),
    ("trace_id", {"trace_id": "id"}),
    ("session_id", {"session_id": "id"}),
]


@pytest.mark.parametrize(("kind", "columns"), IDS)
def test_a_trace_is_found_by_each_kind_of_id(store: Store, kind: str, columns: dict[str, str]) -> None:
    store.insert("spans", rows("spans", span(**{"trace_id": "t1", **columns}), span("t2", "b", start=at(9))), "one")
    found = find_traces(store, "id").to_pylist()
    assert [(row["tenant"], row["trace_id"], row["matched_by"]) for row in found] == [
        ("acme", columns.get("trace_id", "t1"), kind)
    ]


def test_an_id_of_two_kinds_is_taken_for_the_first_of_them(store: Store) -> None:
    both = [span("t1", session_id="id"), span("t2", request_id="id"), span("id")]
    store.insert("spans", rows("spans", *both), "one")
    assert find_traces(store, "id").column("matched_by").to_pylist() == ["request_id"]
    assert find_traces(store, "id", ["session_id", "trace_id"]).column("matched_by").to_pylist() == ["trace_id"]


def test_the_traces_of_a_session_come_newest_first_and_within_the_tenant(store: Store) -> None:
    given = [span(f"t{number}", session_id="s", start=at(number)) for number in range(5)]
    store.insert("spans", rows("spans", *given, span("t9", tenant="other", session_id="s", start=at(99))), "one")
    assert find_traces(store, "s", tenant="acme", limit=2).column("trace_id").to_pylist() == ["t4", "t3"]


def test_nothing_is_found_by_an_unknown_or_empty_id(store: Store) -> None:
    store.insert("spans", rows("spans", span()), "one")
    assert find_traces(store, "nobody").num_rows == find_traces(store, "").num_rows == 0
    assert find_traces(store, "").column_names == find_traces(store, "nobody").column_names


def test_traces_received_since_a_time_say_whether_their_root_came(store: Store) -> None:
    def later(trace: str, **columns: Any) -> dict[str, Any]:
        return span(trace, received_at=at(60), parent_span_id="p", **columns)

    given = [
        span("old", received_at=at(59)),
        later("child"),
        {**later("root"), "parent_span_id": ""},
        later("run", spans_expected=3),
        later("stopped", stop_reason="finish"),
        {**later("pending"), "parent_span_id": "", "is_final": False},
    ]
    store.insert("spans", rows("spans", *given), "one")
    found = {row["trace_id"]: row["rooted"] for row in traces_received_since(store, at(60)).to_pylist()}
    assert found == {"child": False, "root": True, "run": True, "stopped": True, "pending": False}
