"""A backup taken from a server that takes records meanwhile, and a server made of it."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.process import ServerProcess, run_cli

from spanhouse import Client
from spanhouse import attributes as keys
from spanhouse_server.backup import making, restoring
from spanhouse_server.backup.archive import Archive, pieces
from spanhouse_server.backup.errors import BackupError
from spanhouse_server.backup.making import Backup, Source
from spanhouse_server.backup.manifest import Manifest
from spanhouse_server.importing.spans import attributes, request_of
from spanhouse_server.settings import Settings
from spanhouse_storage import migrate, open_store
from spanhouse_storage.contract import Store, StoreInfo
from spanhouse_storage.state import get_watermark, open_state, set_watermark

AGENT = "invoke_agent load"
ROOT = {keys.OPERATION: "invoke_agent", keys.AGENT_NAME: "load"}
CALL = {keys.OPERATION: "chat", keys.REQUEST_MODEL: "gpt-4o-mini", keys.INPUT_TOKENS: 100, keys.OUTPUT_TOKENS: 10}


class Load:
    """Sends one run a request until it is told to stop, and knows which were acknowledged."""

    def __init__(self, url: str) -> None:
        self.acknowledged: list[str] = []
        self._client, self._stopped = Client(url), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            trace = f"{number:032x}"
            now = time.time_ns()
            spans = [
                Span(
                    trace_id=bytes.fromhex(trace),
                    span_id=(number * 100 + each).to_bytes(8, "big"),
                    parent_span_id=b"" if each == 1 else (number * 100 + 1).to_bytes(8, "big"),
                    name=AGENT if each == 1 else "chat m",
                    start_time_unix_nano=now - 1000,
                    end_time_unix_nano=now,
                    attributes=attributes(ROOT if each == 1 else CALL),
                )
                for each in range(1, 6)
            ]
            rejected, why = self._client.post_otlp(
                "traces", request_of(spans, {"service.name": "load"}).SerializeToString()
            )
            assert not rejected, why
            self.acknowledged.append(trace)


def counts(server: ServerProcess) -> dict[str, Any]:
    """Return figures that a restored server must show as well."""
    points = server.get("/api/v1/metrics", name="runs,cost,completion_rate", until=datetime.now(UTC).isoformat())
    return {each["metric"]: each["value"] for each in points["points"]}


@pytest.mark.e2e
def test_a_backup_under_load_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    """And the restored server starts, has every table's rows, and shows the runs."""
    archive, data = tmp_path / "one.tar", tmp_path / "restored"
    with ServerProcess(tmp_path / "data") as server:
        (tmp_path / "data" / "policy.yaml").write_text("version: 1\n")
        with Load(server.url) as load:
            while len(load.acknowledged) < 50:
                time.sleep(0.01)
            before = list(load.acknowledged)
            told = json.loads(server.cli("backup", str(archive), "--data", str(server.data), "--json"))
            assert len(load.acknowledged) > len(before), "the server took records meanwhile"
        assert "exists already" in server.cli("backup", str(archive), "--data", str(server.data), code=2)
        assert not list((tmp_path / "data").glob("backup-*"))
        assert not list((tmp_path / "data/store/engine/shadow").glob("*backup*"))
    assert archive.stat().st_mode & 0o077 == 0
    restored = run_cli("restore", str(archive), "--into", str(data), "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["tables"] == told["tables"]
    for name in ("operator.token", "redaction.key"):
        assert (data / name).read_bytes() == (tmp_path / "data" / name).read_bytes()
        assert (data / name).stat().st_mode & 0o077 == 0
    assert (data / "policy.yaml").read_text() == "version: 1\n"
    with ServerProcess(data) as again:
        again.drain()
        runs = {row["trace_id"] for row in _all(again)}
        assert set(before) <= runs
        for trace in before[:3] + before[-3:]:
            [run] = [row for row in _all(again) if row["trace_id"] == trace]
            assert run["spans_stored"] == 5


def _all(server: ServerProcess) -> list[dict[str, Any]]:
    with Client(server.url) as client:
        return list(client.iter_runs(limit=1000))


@pytest.mark.e2e
def test_figures_after_a_restore_are_those_before(tmp_path: Path) -> None:
    """With and without the server: offline the journal goes along."""
    with ServerProcess(tmp_path / "data") as server:
        with Load(server.url) as load:
            while len(load.acknowledged) < 30:
                time.sleep(0.01)
        server.drain()
        wanted = counts(server)
        server.cli("backup", str(tmp_path / "on.tar"), "--data", str(server.data))
        server.kill()
    off = run_cli("backup", str(tmp_path / "off.tar"), "--offline", "--data", str(tmp_path / "data"))
    assert off.returncode == 0, off.stderr
    for name in ("on", "off"):
        done = run_cli("restore", str(tmp_path / f"{name}.tar"), "--into", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert "spanhouse up --data" in done.stdout
        with ServerProcess(tmp_path / name) as again:
            again.drain()
            assert counts(again) == wanted


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server in a directory of its own, with a state that has something in it."""
    made = Settings(data=str(tmp_path / "data"))
    made.data_dir.mkdir()
    state = open_state(made.state_url)
    set_watermark(state, "job", "17")
    state.dispose()
    return made


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Its store, migrated."""
    opened = open_store(settings.store_url)
    migrate(opened)
    yield opened
    opened.close()


def made(store: Store, settings: Settings, path: Path) -> Path:
    """Write a backup to a file."""
    with Backup(Source(store, settings, online=False, as_of=datetime.now(UTC))) as backup:
        path.write_bytes(b"".join(backup))
    return path


def test_the_state_and_own_files_come_back(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Databases as of one moment, whoever has them open; locks and what is being written do not."""
    (settings.data_dir / "nested").mkdir()
    (settings.data_dir / "nested" / "signing.key").write_text("k")
    (settings.data_dir / "some.lock").touch()
    state = open_state(settings.state_url)
    set_watermark(state, "job", "18")
    path = made(store, settings, tmp_path / "b.tar")
    state.dispose()
    migrations = store.query("SELECT number FROM schema_migrations ORDER BY number").to_pylist()
    store.close()
    restoring.restore(path, tmp_path / "r")
    with closing(open_store(tmp_path / "r" / "store")) as copy:
        assert copy.query("SELECT number FROM schema_migrations ORDER BY number").to_pylist() == migrations
    again = open_state(tmp_path / "r" / "state.db")
    assert get_watermark(again, "job") == "18"
    again.dispose()
    assert (tmp_path / "r/nested/signing.key").read_text() == "k"
    assert not (tmp_path / "r/some.lock").exists()
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["nested", "state.db", "store"]


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    at = raw.index(b"signing")
    raw[at + 600] ^= 0xFF
    path.write_bytes(raw)


def _cut(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


def _newer(path: Path) -> None:
    _rewritten(path, lambda said: said.update(schema=9999))


def _later_format(path: Path) -> None:
    _rewritten(path, lambda said: said.update(spanhouse_backup=2))


def _fewer(path: Path) -> None:
    _rewritten(path, lambda said: said["tables"][0].update(rows=5))


def _outside(path: Path) -> None:
    _rewritten(path, lambda said: said["members"].update({"data/../../x": {"bytes": 0, "sha256": ""}}))


def _statement(path: Path) -> None:
    _rewritten(path, lambda said: said["tables"][0].update(create="DROP DATABASE spanhouse"))


def _text(path: Path) -> None:
    path.write_text("no backup")


def _rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with tarfile.open(path) as tar:
        members = [(each, tar.extractfile(each).read()) for each in tar.getmembers()]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for info, body in members:
            if info.name == "manifest.json":
                said = json.loads(body)
                change(said)
                body = json.dumps(said).encode()  # noqa: PLW2901
                info.size = len(body)
            tar.addfile(info, io.BytesIO(body))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_flip, "was changed"),
        (_cut, "no manifest|cut off"),
        (_newer, "upgrade spanhouse"),
        (_later_format, "newer release"),
        (_fewer, "rows after restoring"),
        (_outside, "no backup has"),
        (_statement, "as no backup does"),
        (_text, "cannot be read as a backup"),
    ],
)
def test_a_backup_that_is_not_right_is_refused(
    store: Store, settings: Settings, spoil: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    """With the reason, and nothing is left in the directory."""
    (settings.data_dir / "signing.key").write_text("k" * 2000)
    path = made(store, settings, tmp_path / "b.tar")
    store.close()
    spoil(path)
    with pytest.raises(BackupError, match=said):
        restoring.restore(path, tmp_path / "r")
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").iterdir())


def test_a_directory_that_holds_something_is_left_alone(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Restoring never overwrites."""
    path = made(store, settings, tmp_path / "b.tar")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine").touch()
    with pytest.raises(BackupError, match="not empty"):
        restoring.restore(path, tmp_path / "r")
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["mine"]


def test_a_clickhouse_server_is_told_its_own_command(store: Store, settings: Settings) -> None:
    """Its tables are its own to back up."""

    class Elsewhere:
        info = StoreInfo("server", "clickhouse://ch:8123/x", "agents", "26", datetime.now(UTC))

    source = Source(store, settings, online=True, as_of=datetime.now(UTC))
    with pytest.raises(BackupError, match="BACKUP DATABASE agents TO Disk"):
        Backup(replace(source, store=Elsewhere()))  # type: ignore[arg-type]
    assert not list(settings.data_dir.glob("backup-*"))


def test_passwords_in_settings_are_not_told(tmp_path: Path) -> None:
    """What the server was started with is written down without them."""
    told = making._told(Settings(data=str(tmp_path), state="postgresql://me:secret@db/x"))
    assert told["state"] == "postgresql://db/x"


def test_an_archive_says_what_is_in_it(tmp_path: Path) -> None:
    """Every file with size and checksum, names of any length."""
    long = "data/" + "n" * 150
    (tmp_path / "f").write_bytes(b"x" * 1000)
    manifest = Manifest("0", 1, "2026-01-01T00:00:00Z", online=True, tables=[], settings={}, notes=[])
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(pieces([(long, tmp_path / "f")], manifest)))
    archive = Archive(path)
    archive.copy(long, tmp_path / "g")
    archive.close()
    assert (tmp_path / "g").read_bytes() == b"x" * 1000
    assert archive.manifest.members[long].bytes == 1000
