"""Whoever was erased does not come back, whatever is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.erasable import MINE, THEIRS, files_with
from tests.support.rows import NOON, rows, span

from spanhouse_storage.screen import ERASED_BODY, Screen
from spanhouse_storage.state import open_state
from spanhouse_storage.tables import SCHEMAS
from spanhouse_storage.tombstones import Marked, Tombstones


@pytest.fixture
def tombstones(tmp_path: Path) -> Iterator[Tombstones]:
    engine = open_state(tmp_path / "state.db")
    yield Tombstones(engine, lambda: NOON)
    engine.dispose()


def test_what_arrives_late_of_an_erased_user_is_refused_and_what_they_do_later_is_not(tombstones: Tombstones) -> None:
    tombstones.add([Marked("user", "acme", MINE, NOON)], "d1", NOON + timedelta(days=30))
    early, late = NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)
    given = rows(
        "spans",
        span("t1", "a", user_id=MINE, start=early),
        span("t2", "a", user_id=MINE, start=late),
        span("t3", "a", user_id=THEIRS, start=early),
        span("t4", "a", user_id=MINE, start=early, tenant="globex"),
    )
    assert tombstones.erased("spans", given).tolist() == [True, False, False, False]


def test_an_erased_trace_never_comes_back_and_its_audit_events_come_without_bodies(tombstones: Tombstones) -> None:
    tombstones.add([Marked("trace", "acme", "t1"), Marked("run", "acme", "r1")], "d1", NOON + timedelta(days=30))
    screen = Screen(tombstones=tombstones)
    assert screen("spans", rows("spans", span("t1", "a"), span("t2", "a"))).rows.column("trace_id").to_pylist() == [
        "t2"
    ]
    events = rows("audit_events", {"tenant": "acme", "stream": "r1", "run_id": "r1", "data": '{"said":"x"}'})
    kept = screen("audit_events", events).rows
    assert kept.column("data").to_pylist() == [ERASED_BODY]
    assert kept.schema.equals(SCHEMAS["audit_events"])


def test_steps_of_an_erased_run_are_refused_though_they_name_no_trace(tombstones: Tombstones) -> None:
    """A pass over the run's spans may have been under way when they were erased."""
    tombstones.add([Marked("run", "acme", "r1")], "d1", NOON + timedelta(days=30))
    assert Screen(tombstones=tombstones)("steps", rows("steps", {"tenant": "acme", "run_id": "r1"})).rows.num_rows == 0


def test_no_name_is_kept_to_refuse_it_by(tombstones: Tombstones, tmp_path: Path) -> None:
    tombstones.add([Marked("user", "acme", MINE, NOON)], "d1", NOON + timedelta(days=30))
    assert files_with(tmp_path, MINE) == []


def test_tombstones_end_with_their_window(tmp_path: Path) -> None:
    engine = open_state(tmp_path / "state.db")
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    tombstones = Tombstones(engine, lambda: now[0])
    tombstones.add([Marked("trace", "acme", "t1")], "d1", now[0] + timedelta(days=30))
    now[0] += timedelta(days=31)
    tombstones.expire()
    again = Tombstones(engine, lambda: now[0])
    assert not again.erased("spans", rows("spans", span("t1", "a"))).any()
    engine.dispose()


@pytest.mark.parametrize("table", SCHEMAS)
def test_rows_pass_a_screen_without_reasons_untouched(table: str) -> None:
    given: pa.Table = rows(table, {})
    assert Screen()(table, given).rows is given
