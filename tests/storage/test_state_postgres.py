"""The state on PostgreSQL does what it does on SQLite: all that is kept there, on a real server of each kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.support.postgres import empty, missing, postgres
from tests.support.rows import NOON, rows, span

from spanhouse_server.control import flags
from spanhouse_server.control.board import Board
from spanhouse_server.control.flags import Action, Scope
from spanhouse_server.deletions import table as deletions
from spanhouse_server.keys import table as keys
from spanhouse_server.keys.rights import Role
from spanhouse_server.leadership import Leadership
from spanhouse_storage import SchemaTooNewError, StorageError, leases
from spanhouse_storage.erasure import Keys, Subject
from spanhouse_storage.state import STATE_VERSION, get_watermark, metadata, open_state, set_watermark
from spanhouse_storage.tombstones import Marked, Tombstones


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if why := missing():
        pytest.skip(why)
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    return empty(request.getfixturevalue("server"))


@pytest.fixture
def state(url: str) -> Iterator[Engine]:
    engine = open_state(url)
    yield engine
    engine.dispose()


def test_watermarks_are_set_and_found(state: Engine) -> None:
    set_watermark(state, "facts", "1")
    set_watermark(state, "facts", "2")
    assert (get_watermark(state, "facts"), get_watermark(state, "none")) == ("2", None)


def test_keys_are_made_rotated_and_revoked(state: Engine) -> None:
    made, _ = keys.create(
        state,
        tenants=frozenset({"acme"}),
        role=Role.READ,
        environment="",
        name="é",
        created_by="op",
        expires_at=NOON + timedelta(days=9),
        now=NOON,
    )
    ended, new, _ = keys.rotate(state, made.id, timedelta(hours=1), "op", NOON)
    assert (ended.expires_at, new.expires_at) == (NOON + timedelta(hours=1), NOON + timedelta(days=9))
    assert keys.revoke(state, new.id, "op", NOON).state(NOON) == "revoked"
    assert len(keys.all_keys(state)) == 2


def test_flags_have_numbers_that_never_return(state: Engine) -> None:
    def add(action: Action, at: datetime) -> int:
        flag = flags.add(
            state,
            action=action,
            scope=Scope.AGENT,
            target="a",
            tenant="",
            reason="",
            by="op",
            ttl_seconds=None,
            now=at,
        )
        return flag.id

    first, lifted = add(Action.STOP, NOON), add(Action.ENABLE, NOON)
    assert first < lifted
    assert flags.active(state, NOON) == []
    assert add(Action.DISABLE, NOON) > lifted
    board = Board(state, lambda: NOON)
    polled = asyncio.run(board.poll(None, 0))
    assert polled is not None
    assert len(polled[1]) == 1


def test_deletions_are_kept_with_keys_and_times(state: Engine) -> None:
    given = deletions.Request(
        id="d1",
        state="waiting",
        subject=Subject("user", "ada", "acme"),
        subject_hash="h",
        keys=Keys(traces=("t1",), points=(("calls", 2**63, -5),)),
        before={},
        by="op",
        reason="",
        requested_at=datetime(2026, 3, 1, tzinfo=UTC),
        removed_at=0,
        error="",
        receipt={},
    )
    deletions.add(state, given)
    assert deletions.get(state, "d1") == given
    deletions.note(state, "d1", state="done")
    assert deletions.unfinished(state) == []


def test_tombstones_hold_on_either_database(state: Engine) -> None:
    tombstones = Tombstones(state, lambda: NOON)
    tombstones.add([Marked("trace", "acme", f"t{n}") for n in range(1_200)], "d1", NOON + timedelta(days=1))
    assert Tombstones(state, lambda: NOON).erased("spans", rows("spans", span("t7"), span("t1200"))).tolist() == [
        True,
        False,
    ]


def test_one_of_two_holds_a_lease_and_the_other_takes_it_when_it_runs_out(state: Engine) -> None:
    assert leases.take(state, "jobs", "a", 30)
    assert not leases.take(state, "jobs", "b", 30)
    assert leases.take(state, "jobs", "a", -1)
    assert leases.take(state, "jobs", "b", 30)
    assert leases.holder_of(state, "jobs") == "b"
    leases.give_back(state, "jobs", "a")
    assert leases.holder_of(state, "jobs") == "b"
    leases.give_back(state, "jobs", "b")
    assert leases.holder_of(state, "jobs") is None


def test_of_many_that_try_at_once_one_gets_the_lease(state: Engine) -> None:
    won: list[str] = []

    def attempt(name: str) -> None:
        if leases.take(state, "jobs", name, 30):
            won.append(name)

    threads = [threading.Thread(target=attempt, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


class _Job:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def start(self) -> None:
        self.log.append(f"start {self.name}")

    def stop(self) -> None:
        self.log.append(f"stop {self.name}")


def test_jobs_run_where_the_lease_is_and_move_with_it(state: Engine) -> None:
    log: list[str] = []
    first = Leadership(state, [_Job(log, "1a"), _Job(log, "1b")], renew=3_600)
    second = Leadership(state, [_Job(log, "2")], renew=3_600)
    first.start()
    second.start()
    assert (first.leading, second.leading) == (True, False)
    first.stop()
    second._look()
    assert log == ["start 1a", "start 1b", "stop 1b", "stop 1a", "start 2"]
    second.stop()


def test_a_server_that_lost_its_lease_stops_its_jobs(state: Engine) -> None:
    log: list[str] = []
    leading = Leadership(state, [_Job(log, "1")], renew=3_600)
    leading.start()
    leases.take(state, "jobs", leading.holder, -1)
    assert leases.take(state, "jobs", "another", 30)
    leading._look()
    assert log == ["start 1", "stop 1"]
    leading.stop()
    assert leases.holder_of(state, "jobs") == "another"


def test_state_of_an_older_release_gets_the_columns_it_lacks(url: str) -> None:
    engine = open_state(url)
    set_watermark(engine, "facts", "7")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE api_keys DROP COLUMN replaced_by"))
        connection.execute(text("DROP TABLE tombstones"))
        connection.execute(text("DELETE FROM watermarks WHERE name = 'state.schema'"))
    engine.dispose()
    again = open_state(url)
    assert get_watermark(again, "facts") == "7"
    assert get_watermark(again, "state.schema") == str(STATE_VERSION)
    with again.connect() as connection:
        for each in metadata.sorted_tables:
            connection.execute(each.select())
    again.dispose()


def test_state_of_a_newer_release_is_refused_with_what_to_install(url: str) -> None:
    engine = open_state(url)
    set_watermark(engine, "state.schema", "999")
    engine.dispose()
    with pytest.raises(SchemaTooNewError, match=r"has schema 999 .*pip install --upgrade spanhouse"):
        open_state(url)


def test_several_servers_may_open_a_new_state_at_once(server: str) -> None:
    url = empty(server)
    failures: list[BaseException] = []

    def opening() -> None:
        try:
            open_state(url).dispose()
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_database_that_does_not_answer_is_named_without_its_password(unused_port: int) -> None:
    with pytest.raises(StorageError, match="cannot use the state database") as refused:
        open_state(f"postgresql+psycopg://u:secret@127.0.0.1:{unused_port}/db")
    assert "secret" not in str(refused.value)
