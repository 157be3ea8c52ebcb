"""What the owner of the store does to the audit trail shows: every event tampered with is named by its number."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from tests.support.chained import TAMPERINGS, Row, chained, otlp
from tests.support.process import ServerProcess, run_cli

from spanhouse_analysis import rows as api_rows
from spanhouse_server.audit import reading
from spanhouse_server.audit.reading import Copies
from spanhouse_server.audit.signing import trusted
from spanhouse_server.audit.verifying import Report, Verification
from spanhouse_server.audit.vouched import vouched
from spanhouse_storage import Store, open_store
from spanhouse_storage.tables import SCHEMAS

RUNS = 100
OTLP = {"content-type": "application/x-protobuf"}
_COLUMNS = tuple(name for name in SCHEMAS["audit_events"].names)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a server that took a hundred runs, was verified whole, and was stopped; ``anchor`` beside it."""
    folder = tmp_path_factory.mktemp("tamper")
    dice, now = random.Random(17), datetime.now(UTC)
    with ServerProcess(folder / "data", grpc="", audit_anchor=str(folder / "anchor")) as server:
        for number in range(RUNS):
            body = otlp(chained(f"run-{number:03}", dice.randint(3, 30), at=now))
            answer = httpx.post(
                f"{server.url}/v1/logs", content=body, headers={"content-type": "application/x-protobuf"}
            )
            assert answer.is_success
        server.drain()
    return folder


@pytest.fixture
def copied(stopped: Path, tmp_path: Path) -> Path:
    """A copy of that directory, to be tampered with."""
    # The engine keeps its folders by links.
    shutil.copytree(stopped, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


@pytest.fixture
def store(copied: Path) -> Iterator[Store]:
    opened = open_store(copied / "data" / "store")
    yield opened
    opened.close()


def streams(store: Store) -> dict[str, list[Row]]:
    table = store.query(f"SELECT {', '.join(_COLUMNS)} FROM audit_events FINAL ORDER BY stream, seq")
    found: dict[str, list[Row]] = {}
    for row in table.cast(SCHEMAS["audit_events"], safe=False).to_pylist():
        found.setdefault(row["stream"], []).append(row)
    return found


def written(store: Store, trail: dict[str, list[Row]]) -> None:
    """Put rows in the place of all that were there."""
    store.execute("TRUNCATE TABLE audit_events")
    rows = [row for stream in trail.values() for row in stream]
    store.insert("audit_events", pa.Table.from_pylist(rows, schema=SCHEMAS["audit_events"]), "tampered")


def verified(store: Store, copies: Copies) -> Report:
    """Verify what the store holds by the copies alone, as ``spanhouse audit verify`` does."""
    signed = copies.by_tenant["acme"]
    vouch = vouched(signed, signed, trusted(copies.keys, []))
    found = Verification("acme", vouch, {})
    for stream, rows in streams(store).items():
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["audit_events"])
        found.stream(stream, api_rows.audit_events(table))
    return found.report()


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_the_first_bad_event_of_each_of_a_hundred_streams_is_named(tampering: str, copied: Path, store: Store) -> None:
    dice = random.Random(tampering)
    copies = reading.copies(copied / "anchor")
    before = streams(store)
    assert len(before) == RUNS
    assert verified(store, copies).flaws == []
    trail = copy.deepcopy(before)
    bad = {stream: TAMPERINGS[tampering](rows, dice) for stream, rows in trail.items()}
    written(store, trail)
    report = verified(store, copies)
    assert report.result == "flawed"
    named = {flaw.stream: flaw.seq for flaw in report.flaws}
    assert named == bad, {stream: (named.get(stream), seq) for stream, seq in bad.items() if named.get(stream) != seq}


def test_a_trail_written_anew_is_whole_in_itself_and_caught_by_the_copy(copied: Path, store: Store) -> None:
    """With everything of the server's rewritten, checkpoints too, only the copy elsewhere tells."""
    trail = streams(store)
    for rows in trail.values():
        TAMPERINGS["rewrite"](rows, random.Random(1))
    written(store, trail)
    alone = Verification("acme", vouched([], [], {}), {})
    for stream, rows in trail.items():
        alone.stream(stream, api_rows.audit_events(pa.Table.from_pylist(rows, schema=SCHEMAS["audit_events"])))
    assert alone.report().result == "unknown", "nothing vouches for it"
    kinds = {flaw.kind.value for flaw in verified(store, reading.copies(copied / "anchor")).flaws}
    assert kinds == {"rewritten"}


def test_the_command_names_what_was_done(copied: Path) -> None:
    """Whole before; afterwards the first bad event of each stream, the stream that vanished, and exit code 1."""
    data, anchor = copied / "data", copied / "anchor"
    with ServerProcess(data, grpc="", audit_anchor=str(anchor)) as server:
        said = run_cli("audit", "verify", "--checkpoints", str(anchor), "--url", server.url)
        assert said.returncode == 0, said.stdout + said.stderr
        assert "acme: whole" in said.stdout
    opened = open_store(data / "store")
    trail = streams(opened)
    trail["run-001"][1]["data"] = '{"tool":"other"}'
    del trail["run-002"][2:]
    del trail["run-003"]
    written(opened, trail)
    opened.close()
    with ServerProcess(data, grpc="", audit_anchor=str(anchor)) as server:
        said = run_cli("audit", "verify", "--json", "--checkpoints", str(anchor), "--url", server.url)
        assert said.returncode == 1, said.stderr
        (report,) = [each for each in json.loads(said.stdout)["tenants"] if each["tenant"] == "acme"]
        found = {(flaw["kind"], flaw["stream"], flaw["seq"]) for flaw in report["flaws"]}
        assert found == {("body", "run-001", 2), ("truncated", "run-002", 3), ("vanished", "run-003", 1)}
        own = run_cli("audit", "verify", "--tenant", "acme", "--url", server.url)
        assert own.returncode == 1
        assert "vanished: run-003 event 1" in own.stdout
        one = run_cli("audit", "verify", "--run", "run-004", "--url", server.url)
        assert one.returncode == 0, one.stdout
    away = run_cli("audit", "verify", "--url", server.url)
    assert away.returncode == 2, "nobody answers, so nothing can be told"
