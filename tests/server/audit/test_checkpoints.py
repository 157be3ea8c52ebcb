"""Checkpoints: taken when they are due, of what changed, signed, and copied to where the server cannot change them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import Engine
from tests.support.chained import Row, chained

from spanhouse.errors import ConfigurationError
from spanhouse_server.audit import keyring, outbox, reading, signing, table
from spanhouse_server.audit.checkpoint import FIRST, Checkpoint, CheckpointError, Head, Signed
from spanhouse_server.audit.job import TROUBLE, Checkpointing
from spanhouse_server.audit.mirror import Mirror, MirrorError, file_name
from spanhouse_server.audit.vouched import vouched
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.retention import Lives, Retention
from spanhouse_storage.state import get_watermark, open_state
from spanhouse_storage.tables import SCHEMAS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    """The time, set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def on(self, **more: float) -> None:
        """Let time go by."""
        self.now += timedelta(**more)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "store")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    opened.execute("TRUNCATE TABLE audit_events")
    return opened


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    engine = open_state(tmp_path / "state.db")
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def job(store: Store, state: Engine, tmp_path: Path, clock: Clock) -> Checkpointing:
    signing.ensure(tmp_path / "audit.key")
    return Checkpointing(
        store,
        state,
        lambda: signing.load(tmp_path / "audit.key"),
        [Mirror(tmp_path / "own", state), Mirror(tmp_path / "anchor", state)],
        retention=lambda: Retention(default=Lives(audit=timedelta(days=30))),
        clock=clock,
    )


def arrive(store: Store, rows: list[Row], at: datetime) -> None:
    """Store rows as received at a time."""
    received = [{**row, "received_at": at, "version": int(at.timestamp() * 1e6)} for row in rows]
    empty = {
        name: ""
        for name in SCHEMAS["audit_events"].names
        if pa.types.is_string(SCHEMAS["audit_events"].field(name).type)
    }
    whole = [{**empty, **row} for row in received]
    token = f"{rows[0]['stream']}:{rows[-1]['seq']}:{at}"
    store.insert("audit_events", pa.Table.from_pylist(whole, schema=SCHEMAS["audit_events"]), token)


def numbers(taken: list[Checkpoint]) -> list[int]:
    return [each.number for each in taken]


def test_one_a_minute_after_a_change_and_one_an_hour_without(job: Checkpointing, store: Store, clock: Clock) -> None:
    assert job.tick() == [], "nothing is there to be signed"
    rows = chained("r1", 5, at=NOON)
    arrive(store, rows[:3], NOON)
    (first,) = job.tick()
    assert (first.number, first.previous, first.heads) == (1, FIRST, (Head("r1", 3, rows[2]["hash"]),))
    clock.on(seconds=30)
    arrive(store, rows[3:], clock())
    assert job.tick() == [], "the minute is not over"
    clock.on(seconds=30)
    (second,) = job.tick()
    assert (second.number, second.previous, second.heads) == (2, first.hash, (Head("r1", 5, rows[4]["hash"]),))
    clock.on(minutes=59)
    assert job.tick() == []
    clock.on(minutes=1)
    (heartbeat,) = job.tick()
    assert (heartbeat.number, heartbeat.heads) == (3, ())


def test_a_thousand_events_are_signed_before_the_minute_is_over(job: Checkpointing, store: Store, clock: Clock) -> None:
    arrive(store, chained("r1", 2, at=NOON), NOON)
    job.tick()
    clock.on(seconds=5)
    arrive(store, chained("r2", 1_000, at=NOON), clock())
    (second,) = job.tick()
    assert [head.stream for head in second.heads] == ["r2"]


def test_a_stream_that_got_shorter_is_not_signed_again(job: Checkpointing, store: Store, clock: Clock) -> None:
    """What was signed has to stand, or cutting a tail off would sign itself."""
    rows = chained("r1", 5, at=NOON)
    arrive(store, rows, NOON)
    job.tick()
    store.execute("TRUNCATE TABLE audit_events")
    clock.on(minutes=2)
    arrive(store, rows[:2], clock())
    assert job.tick(eager=True) == []


def test_events_stored_hours_late_are_signed_within_the_hour(job: Checkpointing, store: Store, clock: Clock) -> None:
    """The store was away: they were received long before the last look."""
    arrive(store, chained("r1", 2, at=NOON), NOON)
    job.tick()
    clock.on(hours=5)
    job.tick()
    arrive(store, chained("r2", 2, at=NOON), NOON + timedelta(minutes=1))
    clock.on(hours=1)
    (found,) = job.tick()
    assert [head.stream for head in found.heads] == ["r2"]


def test_a_process_that_takes_over_goes_on_where_the_last_was(
    job: Checkpointing, store: Store, state: Engine, tmp_path: Path, clock: Clock
) -> None:
    arrive(store, chained("r1", 2, at=NOON), NOON)
    assert numbers(job.tick()) == [1]
    other = Checkpointing(
        store, state, lambda: signing.load(tmp_path / "audit.key"), [], retention=Retention, clock=clock
    )
    assert other.tick(eager=True) == [], "nothing is signed twice"
    arrive(store, chained("r2", 2, at=NOON), clock())
    assert numbers(other.tick(eager=True)) == [2]


def test_copies_are_brought_up_after_the_disk_was_away_and_a_crash_cut_a_line(
    job: Checkpointing, store: Store, state: Engine, tmp_path: Path, clock: Clock
) -> None:
    arrive(store, chained("r1", 2, at=NOON), NOON)
    (tmp_path / "anchor").write_text("a file is in the way")
    job.tick()
    assert "anchor" in (get_watermark(state, TROUBLE) or "")
    (tmp_path / "anchor").unlink()
    clock.on(minutes=1)
    arrive(store, chained("r2", 2, at=NOON), clock())
    job.tick()
    assert get_watermark(state, TROUBLE) == ""
    own = tmp_path / "own" / file_name("acme")
    lines = (tmp_path / "anchor" / file_name("acme")).read_text()
    assert lines == own.read_text()
    assert len(lines.splitlines()) == 2
    own.write_text(lines[:-20])
    Mirror(tmp_path / "own", state).bring_up(table.newest(state))
    assert own.read_text() == lines
    assert own.stat().st_mode & 0o777 == 0o600


def test_a_copy_that_says_something_else_is_left_as_it_is_and_told_of(
    job: Checkpointing, store: Store, state: Engine, tmp_path: Path
) -> None:
    """Appending to it would bury the proof."""
    arrive(store, chained("r1", 2, at=NOON), NOON)
    job.tick()
    with state.begin() as connection:
        changed = table.page(state, "acme")[0]
        forged = Signed(Checkpoint.of_json({**changed.checkpoint.as_json(), "heads": []}), changed.signature)
        connection.execute(table.CHECKPOINTS.update().values(line=forged.line()))
    before = (tmp_path / "anchor" / file_name("acme")).read_bytes()
    with pytest.raises(MirrorError, match="different checkpoints 1"):
        Mirror(tmp_path / "anchor", state).bring_up(table.newest(state))
    assert (tmp_path / "anchor" / file_name("acme")).read_bytes() == before


def test_what_the_old_key_signed_stays_good_after_a_rotation(
    job: Checkpointing, store: Store, state: Engine, tmp_path: Path, clock: Clock
) -> None:
    """The old key vouches for the new one, so that whoever trusts the first trusts them all; and it is an event."""
    first = signing.load(tmp_path / "audit.key").public
    arrive(store, chained("r1", 2, at=NOON), NOON)
    job.tick()
    new = keyring.rotate(state, tmp_path / "audit.key", "ann", NOON)
    clock.on(minutes=1)
    arrive(store, chained("r2", 2, at=NOON), clock())
    job.tick()
    copies = reading.copies(tmp_path / "anchor")
    signed = copies.by_tenant["acme"]
    assert [each.checkpoint.key_id for each in signed] == [first.id, new.id]
    assert vouched(signed, signed, signing.trusted([first], copies.keys)).flaws == []
    alone = vouched(signed, [], signing.trusted([signing.make().public], copies.keys))
    assert [flaw.seq for flaw in alone.flaws][:2] == [1, 2], "keys nobody vouches for sign nothing"
    assert [(each.event, each.tenant) for each in outbox.untold(state)] == [("audit.key", "default")]
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600


def test_a_key_put_in_the_place_of_another_is_not_trusted_by_who_knows_the_first(
    job: Checkpointing, store: Store, state: Engine, tmp_path: Path, clock: Clock
) -> None:
    """Whoever has the disk can sign with a key of their own; the auditor's copy of the public key tells."""
    first = signing.load(tmp_path / "audit.key").public
    arrive(store, chained("r1", 2, at=NOON), NOON)
    job.tick()
    (tmp_path / "audit.key").unlink()
    signing.ensure(tmp_path / "audit.key")
    clock.on(minutes=1)
    arrive(store, chained("r2", 2, at=NOON), clock())
    job.tick()
    signed = table.page(state, "acme")
    flaws = vouched(signed, [], signing.trusted([first], table.keys(state))).flaws
    assert [(flaw.kind.value, flaw.seq) for flaw in flaws] == [("checkpoint", 2)]
    assert [each.event for each in outbox.untold(state)] == ["audit.key"]


def test_a_checkpoint_says_what_retention_has_removed(job: Checkpointing, store: Store) -> None:
    arrive(store, chained("r1", 2, at=NOON), NOON)
    (taken,) = job.tick()
    assert taken.kept_from == NOON - timedelta(days=30)


def test_a_signed_checkpoint_is_read_back_as_it_was_and_nothing_else_is_one() -> None:
    key = signing.make()
    said = Checkpoint("ac/me ✓", 1, NOON, FIRST, (Head("r✓", 2, "ab"),), 2, None, key.public.id)
    signed = Signed(said, key.sign(said.text()))
    assert Signed.of_line(signed.line()) == signed
    assert key.public.verifies(said.text(), signed.signature)
    assert not key.public.verifies(said.text(), "no hex")
    for line in ("", "{}", "[]", '{"checkpoint": 1, "signature": ""}', signed.line().replace('"events"', '"event"')):
        with pytest.raises(CheckpointError):
            Signed.of_line(line)


def test_tenants_of_any_name_have_files_of_their_own() -> None:
    names = [file_name(tenant) for tenant in ("a/b", "a%2Fb", "..", "x" * 256, "x" * 255 + "y", "é" * 256)]
    assert len(set(names)) == len(names)
    assert all("/" not in name and len(name) < 255 for name in names)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="restore it"):
        signing.ensure(path)
    assert path.read_bytes() == content
