"""Control events are written down with the change they tell of: none is lost, and none is told twice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.support.postgres import empty, missing, postgres
from tests.support.served import serving

from spanhouse.audit.chain import genesis, verify
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.records import RawRecord
from spanhouse_server.audit import outbox
from spanhouse_server.audit.trail import Trail
from spanhouse_server.control import flags
from spanhouse_server.control.flags import Action, Scope
from spanhouse_storage.state import open_state

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if why := missing():
        pytest.skip(why)
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = request.param == "sqlite"
    engine = open_state(str(tmp_path / "state.db") if sqlite else empty(request.getfixturevalue("server")))
    yield engine
    engine.dispose()


def noted(state: Engine, tenant: str = "acme", what: str = "budget") -> int:
    with state.begin() as connection:
        return outbox.note(connection, "override", {"by": "op", "what": what}, tenant=tenant, at=NOON)


def test_events_of_many_threads_have_every_number_once_and_one_chain(state: Engine) -> None:
    """The row of the tenant's head is locked until the commit: nobody takes a number that another holds."""

    def work(number: int) -> None:
        for each in range(10):
            noted(state, "acme" if (number + each) % 2 else "globex")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waiting = outbox.untold(state)
    for tenant in ("acme", "globex"):
        mine = [each for each in waiting if each.tenant == tenant]
        assert [each.seq for each in mine] == list(range(1, 31))
        assert [each.prev_hash for each in mine] == [genesis("control"), *(each.hash for each in mine[:-1])]


def test_a_change_that_is_rolled_back_takes_its_event_and_its_number_back(state: Engine) -> None:
    noted(state)
    with state.connect() as connection:
        outbox.note(connection, "override", {"by": "op", "what": "nothing"}, tenant="acme", at=NOON)
        connection.rollback()
    assert noted(state) == 2
    assert [each.seq for each in outbox.untold(state)] == [1, 2]


def test_a_flag_and_its_event_are_one_transaction(state: Engine) -> None:
    """In the trail of the tenant it is for; for all tenants in that of the default one."""
    for tenant, scope, target in (("acme", Scope.TOOL, "http.get"), ("", Scope.TENANT, "globex"), ("", Scope.ALL, "")):
        flags.add(
            state,
            action=Action.STOP,
            scope=scope,
            target=target,
            tenant=tenant,
            reason="",
            by="op",
            ttl_seconds=None,
            now=NOON,
        )
    assert [(each.tenant, each.event, each.version) for each in outbox.untold(state)] == [
        ("acme", "kill", 1),
        ("default", "kill", 1),
        ("globex", "kill", 1),
    ]


def test_what_fits_no_model_is_written_down_all_the_same_and_marked(state: Engine) -> None:
    with state.begin() as connection:
        outbox.note(connection, "override", {"by": "op"}, tenant="acme", at=NOON)
    (each,) = outbox.untold(state)
    assert each.version == 0
    assert "what" in json.loads(each.body)["invalid"]


def test_secrets_are_cut_out_before_the_body_is_hashed(state: Engine) -> None:
    noted(state, what="key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH was in the reason")
    (each,) = outbox.untold(state)
    assert "abcdefghij" not in each.body
    assert "[REDACTED:" in each.body


def test_an_event_is_sent_until_it_is_acknowledged(state: Engine) -> None:
    """A process that ended before it was sent leaves it to the next; one that ended after, sends it again."""
    sent: list[RawRecord] = []

    async def full(_: RawRecord) -> None:
        msg = "the journal is full"
        raise JournalUnavailableError(msg, retry_after=30)

    async def lost(record: RawRecord) -> None:
        sent.append(record)
        msg = "ended after the journal had it"
        raise JournalUnavailableError(msg, retry_after=1)

    async def taken(record: RawRecord) -> None:
        sent.append(record)

    noted(state)
    assert not asyncio.run(Trail(state, full).try_to_send())
    assert not asyncio.run(Trail(state, lost).try_to_send())
    assert asyncio.run(Trail(state, taken).try_to_send())
    assert len(sent) == 2
    assert sent[0].body == sent[1].body
    assert outbox.untold(state) == []


def test_events_noted_while_no_server_ran_are_in_the_trail_after_the_next_start(tmp_path: Path) -> None:
    """And those sent twice are there once, in one whole chain."""
    state = open_state(tmp_path / "data" / "state.db")
    for number in range(5):
        noted(state, what=f"offline {number}")
    waiting = outbox.untold(state)
    state.dispose()
    with serving(tmp_path / "data") as served:
        asyncio.run(served.parts.trail.send())
        for each in waiting:
            with served.parts.state.begin() as connection:
                connection.execute(outbox.OUTBOX.insert().values(**{n: getattr(each, n) for n in each.__slots__}))
        asyncio.run(served.parts.trail.send())
        served.drain()
        events = served.get("/api/v1/audit", tenant="acme")["events"]
    assert [event["data"]["what"] for event in events] == [f"offline {number}" for number in range(5)]
    assert verify("control", events, expected=5).flaw is None
