"""Data points are read in the order of their times, each once, however often it was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.rows import NOON, rows

from spanhouse_storage import Store
from spanhouse_storage.reads import POINT_COLUMNS, CursorError, PointFilter, metric_points

# That reads work over HTTP as well is proved once, beside the server; here the reads themselves are the subject.
pytestmark = pytest.mark.parametrize("opened", ["embedded"], indirect=True)

BIG = 2**64 - 1


@pytest.fixture(autouse=True)
def emptied(store: Store) -> None:
    store.execute("TRUNCATE TABLE metric_points")


def point(series: int, second: int = 0, **columns: Any) -> dict[str, Any]:
    time = NOON + timedelta(seconds=second)
    own = {"tenant": "acme", "name": "tokens", "series": series, "time": time, "bucket": time, "version": 1}
    return {**own, "value": float(series), **columns}


def series(store: Store, wanted: PointFilter, **options: Any) -> list[int]:
    found: list[int] = metric_points(store, "tokens", wanted, **options).rows.column("series").to_pylist()
    return found


def test_a_point_sent_again_is_one_row_with_its_last_version(store: Store) -> None:
    store.insert("metric_points", rows("metric_points", point(1), point(1, 1), point(2, name="other")), "one")
    store.insert("metric_points", rows("metric_points", point(1, version=2, value=9.0)), "two")
    page = metric_points(store, "tokens", PointFilter())
    assert page.rows.column_names == list(POINT_COLUMNS)
    assert page.rows.column("value").to_pylist() == [9.0, 1.0]


def test_pages_hold_every_point_once_also_those_of_one_moment(store: Store) -> None:
    given = [point(BIG - n, second=n % 2, tenant=f"t{n % 3}") for n in range(20)]
    store.insert("metric_points", rows("metric_points", *given), "one")
    seen: list[int] = []
    cursor = None
    while True:
        page = metric_points(store, "tokens", PointFilter(), limit=3, cursor=cursor)
        seen += page.rows.column("series").to_pylist()
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == series(store, PointFilter())
    assert sorted(seen) == sorted(BIG - n for n in range(20))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (PointFilter(tenant="other"), [3]),
        (PointFilter(environment="prod", service_name=["shop"], scope_name="lib"), [3]),
        (PointFilter(attributes={"kind": "input"}), [3]),
        (PointFilter(attributes={"kind": "input", "model": "m"}), []),
        (PointFilter(since=NOON + timedelta(seconds=1)), [2, 3]),
        (PointFilter(until=NOON + timedelta(seconds=1)), [1]),
        (PointFilter(since=NOON, until=NOON), []),
    ],
)
def test_a_filter_keeps_what_is_true_of_all_its_conditions(
    store: Store, wanted: PointFilter, expected: list[int]
) -> None:
    said = {"tenant": "other", "environment": "prod", "service_name": "shop", "scope_name": "lib"}
    given = [point(1), point(2, 1), point(3, 2, **said, attributes=[("kind", "input")])]
    store.insert("metric_points", rows("metric_points", *given), "one")
    assert series(store, wanted) == expected


def test_a_cursor_of_another_list_is_refused(store: Store) -> None:
    with pytest.raises(CursorError):
        metric_points(store, "tokens", PointFilter(), cursor="WyJydW5zIl0")
