"""Keys themselves: made once, kept as hashes, found fast, revoked in time, rotated with an overlap."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from spanhouse_collector.caller import CallerRefusedError
from spanhouse_server.keys import secret, table
from spanhouse_server.keys.auth import Auth
from spanhouse_server.keys.guard import Guard, bearer
from spanhouse_server.keys.rights import ANYONE, NOBODY, OPERATOR, Right, Role
from spanhouse_server.keys.ring import FRESH, LOST, KeyRing, KeysUnavailableError
from spanhouse_server.keys.sessions import LASTS, Sessions
from spanhouse_storage.state import open_state

START = datetime(2026, 1, 1, tzinfo=UTC)
ACME = frozenset({"acme"})


class Clock:
    """A time that passes when told."""

    def __init__(self) -> None:
        self.now = START
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_state(tmp_path / "state.db")
    yield opened
    opened.dispose()


def made(
    engine: Engine, role: Role = Role.INGEST, tenants: frozenset[str] | None = ACME, **fields: Any
) -> tuple[table.Key, str]:
    known = {"environment": "", "name": "", "created_by": "me", "expires_at": None, "now": START}
    return table.create(engine, tenants=tenants, role=role, **{**known, **fields})


def guard_of(engine: Engine, clock: Clock, **options: Any) -> Guard:
    return Guard(engine, "sho_operator", clock=clock, monotonic=clock.monotonic, **options)


def headers(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_a_keys_text_is_its_prefix_its_id_and_256_random_bits(engine: Engine) -> None:
    texts = [made(engine)[1] for _ in range(20)]
    assert all(re.fullmatch(r"shk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", text) for text in texts)
    assert len({text[13:] for text in texts}) == 20
    assert secret.id_of(texts[0]) == texts[0][4:12]


@given(text=st.text(max_size=80))
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert secret.id_of(text) is None


def test_only_a_hash_is_in_the_database_files(tmp_path: Path, clock: Clock) -> None:
    """Not in the file, not in its log, not in what the API shows."""
    engine = open_state(tmp_path / "state.db")
    key, text = made(engine)
    KeyRing(engine, clock).find(text)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()
    assert text[13:].encode() not in stored
    assert key.hash.encode() in stored
    assert key.hash not in str(key.as_json(START))


def test_a_key_is_compared_in_constant_time_also_where_its_id_is_unknown(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Any, Any]] = []

    def watched(given_: Any, kept: Any) -> bool:
        compared.append((given_, kept))
        return compare(given_, kept)

    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", watched)
    key, text = made(engine)
    ring = KeyRing(engine, clock)
    assert ring.find(text) == key
    assert ring.find(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    assert ring.find("shk_" + "a" * 8 + "_" + "b" * 43) is None
    assert len(compared) == 3
    assert all(len(given_) == len(kept) == 64 for given_, kept in compared)


def test_a_key_revoked_by_another_process_is_refused_within_a_minute(engine: Engine, clock: Clock) -> None:
    key, text = made(engine)
    ring = KeyRing(engine, clock)
    assert ring.find(text)
    table.revoke(engine, key.id, "me", clock.now)
    clock.now += FRESH - timedelta(milliseconds=1)
    assert ring.find(text), "still known from memory"
    clock.now += timedelta(milliseconds=1)
    assert ring.find(text) is None
    assert timedelta(seconds=60) >= FRESH


def test_a_key_revoked_by_this_process_is_refused_at_once(engine: Engine, clock: Clock) -> None:
    key, text = made(engine)
    ring = KeyRing(engine, clock)
    assert ring.find(text)
    table.revoke(engine, key.id, "me", clock.now)
    ring.changed()
    assert ring.find(text) is None


def test_a_new_key_works_within_a_second_and_strangers_cause_no_more_reads(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(engine, clock)
    assert ring.find("shk_" + "a" * 8 + "_" + "b" * 43) is None
    _, text = made(engine)
    reads: list[Engine] = []
    real = table.all_keys

    def counted(engine: Engine) -> list[table.Key]:
        reads.append(engine)
        return real(engine)

    monkeypatch.setattr(table, "all_keys", counted)
    for _ in range(50):
        ring.find("shk_" + "a" * 8 + "_" + "b" * 43)
    assert reads == []
    clock.now += timedelta(seconds=1)
    assert ring.find(text)
    assert len(reads) == 1


def test_an_expired_key_is_refused_to_the_second(engine: Engine, clock: Clock) -> None:
    _, text = made(engine, expires_at=START + timedelta(days=90))
    ring = KeyRing(engine, clock)
    clock.now = START + timedelta(days=90, seconds=-1)
    assert ring.find(text)
    clock.now += timedelta(seconds=1)
    assert ring.find(text) is None


def test_a_rotated_key_works_for_the_overlap_beside_its_successor(engine: Engine, clock: Clock) -> None:
    key, text = made(engine, role=Role.OPERATE, environment="prod", expires_at=START + timedelta(days=30))
    clock.now += timedelta(days=10)
    old, new, successor = table.rotate(engine, key.id, timedelta(hours=24), "me", clock.now)
    ring = KeyRing(engine, clock)
    assert ring.find(text)
    found = ring.find(successor)
    assert found
    assert (found.role, found.tenants, found.environment) == (Role.OPERATE, ACME, "prod")
    assert (old.replaced_by, new.expires_at) == (new.id, clock.now + timedelta(days=30))
    clock.now += timedelta(hours=24)
    assert ring.find(text) is None
    assert ring.find(successor)
    with pytest.raises(table.KeyEndedError, match="expired"):
        table.rotate(engine, key.id, timedelta(0), "me", clock.now)


def test_a_rotation_never_lengthens_the_old_keys_life(engine: Engine) -> None:
    key, _ = made(engine, expires_at=START + timedelta(hours=1))
    old, _, _ = table.rotate(engine, key.id, timedelta(hours=24), "me", START)
    assert old.expires_at == START + timedelta(hours=1)


def test_last_use_is_written_down(engine: Engine, clock: Clock) -> None:
    key, text = made(engine)
    ring = KeyRing(engine, clock)
    clock.now += timedelta(minutes=5)
    ring.find(text)
    ring.flush()
    assert table.get(engine, key.id).last_used_at == clock.now


def test_a_state_that_does_not_answer_is_bridged_for_a_minute_then_nobody_gets_in(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = made(engine)
    ring = KeyRing(engine, clock)
    assert ring.find(text)

    def away(_: Engine) -> list[table.Key]:
        statement = "SELECT"
        raise OperationalError(statement, None, Exception("away"))

    monkeypatch.setattr(table, "all_keys", away)
    monkeypatch.setattr(table, "used", lambda *_: None)
    clock.now += LOST - timedelta(seconds=1)
    assert ring.find(text)
    clock.now += timedelta(seconds=1)
    with pytest.raises(KeysUnavailableError):
        ring.find(text)
    guard = guard_of(engine, clock)
    with pytest.raises(CallerRefusedError) as refusal:
        guard.caller({})
    assert (refusal.value.status, refusal.value.retry_after) == (503, 2)


def test_keys_are_asked_for_from_the_first_one_on_and_for_good(engine: Engine, clock: Clock) -> None:
    """Revoking the last key must not open the door."""
    guard = guard_of(engine, clock)
    assert guard.access("") == ANYONE
    key, text = made(engine)
    guard.ring.changed()
    assert guard.access("") == NOBODY
    assert guard.access(f"Bearer {text}").tenants == ACME
    table.revoke(engine, key.id, "me", clock.now)
    guard.ring.changed()
    assert guard.access("") == NOBODY
    assert guard.access(f"Bearer {text}") == NOBODY


def test_auth_on_asks_without_keys_and_off_never_asks_but_honours_them(engine: Engine, clock: Clock) -> None:
    assert guard_of(engine, clock, auth=Auth.ON).access("") == NOBODY
    _, text = made(engine)
    off = guard_of(engine, clock, auth=Auth.OFF)
    assert off.access("") == ANYONE
    assert off.access(f"Bearer {text}").tenants == ACME
    assert off.access("Bearer sho_operator") == OPERATOR


def test_who_is_open_to_all_may_not_control(engine: Engine, clock: Clock) -> None:
    rights = guard_of(engine, clock).access("").rights
    assert {Right.SEND, Right.READ, Right.POLL, Right.ASK, Right.SCORE} == rights


@pytest.mark.parametrize(
    ("role", "sends"), [(Role.INGEST, True), (Role.READ, False), (Role.OPERATE, True), (Role.ADMIN, True)]
)
def test_a_role_may_send_or_not(engine: Engine, clock: Clock, role: Role, *, sends: bool) -> None:
    key, text = made(engine, role=role, environment="prod")
    guard = guard_of(engine, clock)
    if sends:
        caller = guard.caller(headers(text))
        assert (caller.tenant, caller.tenants, caller.environment) == ("acme", ACME, "prod")
        return
    with pytest.raises(CallerRefusedError, match=f"key {key.id} may not send") as refusal:
        guard.caller(headers(text))
    assert refusal.value.status == 403


@pytest.mark.parametrize("given_", ["", "Basic abc", "Bearer ", "Bearer shk_wrong", "shk_bare", "Bearer sho_other"])
def test_who_shows_nothing_good_may_not_send(engine: Engine, clock: Clock, given_: str) -> None:
    made(engine)
    with pytest.raises(CallerRefusedError) as refusal:
        guard_of(engine, clock).caller({"authorization": given_})
    assert refusal.value.status == 401
    assert "wrong" not in str(refusal.value)


def test_the_keys_of_a_tenant_share_its_allowance_and_others_have_their_own(engine: Engine, clock: Clock) -> None:
    texts = [made(engine)[1], made(engine)[1], made(engine, tenants=frozenset({"beta"}))[1]]
    guard = guard_of(engine, clock, rate=10)
    first, second, other = (headers(text) for text in texts)
    guard.caller(first).spend(140, 0)
    with pytest.raises(CallerRefusedError, match="10 records a second") as refusal:
        guard.caller(second)
    assert (refusal.value.status, refusal.value.retry_after) == (429, 4)
    assert guard.caller(other)
    assert guard.caller(headers("sho_operator")).allowance is None
    clock.seconds += 4.1
    assert guard.caller(second)


@pytest.mark.parametrize(
    ("given_", "tenants"),
    [(["*"], None), (["a", " b "], {"a", "b"}), (["a", "a"], {"a"})],
)
def test_tenants_are_names_or_a_star(given_: list[str], tenants: set[str] | None) -> None:
    assert table.tenants_of(given_) == tenants


@pytest.mark.parametrize("given_", [[], [""], ["a", ""], ["*", "a"], ["a,b"], ["a\n"], ["\x1b[2J"], ["x" * 257]])
def test_what_is_no_tenant_is_refused(given_: list[str]) -> None:
    if given_ == ["a\n"]:
        given_ = ["a\nb"]
    with pytest.raises(table.TenantsError):
        table.tenants_of(given_)


@pytest.mark.parametrize(
    ("header", "text"), [("Bearer a", "a"), ("bearer  a ", "a"), ("Basic a", ""), ("a", ""), ("", "")]
)
def test_a_bearer_token_is_read_from_its_header(header: str, text: str) -> None:
    assert bearer(header) == text


def test_a_ticket_opens_the_pages_once_and_a_newer_one_voids_it(clock: Clock) -> None:
    sessions = Sessions(clock)
    first = sessions.ticket()
    second = sessions.ticket()
    assert not sessions.redeem(first)
    assert sessions.redeem(second)
    assert not sessions.redeem(second)
    assert not sessions.redeem("")


def test_a_session_ends_with_its_time_and_with_its_key(engine: Engine, clock: Clock) -> None:
    key, text = made(engine, role=Role.READ, tenants=None)
    guard = guard_of(engine, clock)
    cookie = guard.login(text)
    operators = guard.login("sho_operator")
    assert cookie
    assert operators
    assert guard.logged_in(cookie)
    assert not guard.logged_in("other")
    table.revoke(engine, key.id, "me", clock.now)
    guard.ring.changed()
    assert not guard.logged_in(cookie)
    clock.now += LASTS
    assert not guard.logged_in(operators)


def test_a_key_that_may_not_read_opens_no_page(engine: Engine, clock: Clock) -> None:
    _, text = made(engine, role=Role.INGEST, tenants=None)
    assert guard_of(engine, clock).login(text) is None


@pytest.mark.parametrize("role", [Role.READ, Role.OPERATE, Role.ADMIN])
def test_a_page_may_read_and_steer_where_its_visitors_key_may_and_change_nothing_that_is_kept(
    engine: Engine, clock: Clock, role: Role
) -> None:
    key, text = made(engine, role=role, tenants=ACME)
    guard = guard_of(engine, clock)
    cookie = guard.login(text)
    assert cookie
    access = guard.access(f"Bearer {cookie}")
    assert (access.tenants, access.key) == (ACME, key.id)
    steering = set() if role is Role.READ else {Right.STEER, Right.SCORE}
    assert access.rights == {Right.READ, Right.POLL} | steering
    table.revoke(engine, key.id, "me", clock.now)
    guard.ring.changed()
    assert guard.access(f"Bearer {cookie}").rights == frozenset()


def test_a_page_of_the_operator_reads_and_steers_all_and_changes_nothing_that_is_kept(
    engine: Engine, clock: Clock
) -> None:
    made(engine, role=Role.READ, tenants=ACME)
    guard = guard_of(engine, clock)
    cookie = guard.login("sho_operator")
    assert cookie
    access = guard.access(f"Bearer {cookie}")
    assert access.tenants is None
    assert access.rights == {Right.READ, Right.POLL, Right.STEER, Right.SCORE}
    assert guard.login(cookie) is None
    clock.now += LASTS
    assert not guard.access(f"Bearer {cookie}").rights
