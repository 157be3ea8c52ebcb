"""What is special about a store in a directory: one owner, a private place, and a process that dies when it must."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.rows import rows, span

from spanhouse_storage import StorageError, Store, StoreHeldError, StoreUnavailableError, embedded, migrate, open_store

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(path)
    migrate(opened)
    yield opened
    opened.close()


@contextmanager
def child(path: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run code in a process that has the store open; it says `ready` when it has come to its end and waits there."""
    program = textwrap.dedent("""
        import sys, os, signal, threading
        from spanhouse_storage import migrate, open_store
        from tests.support.rows import rows, span
        store = open_store(sys.argv[1])
        migrate(store)
        {code}
        print("ready", flush=True)
        sys.stdin.readline()
    """).format(code=code)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_who_holds_the_store_and_what_to_do(path: Path) -> None:
    with child(path, "") as holder:
        with pytest.raises(StoreHeldError) as refused:
            open_store(path)
        assert refused.value.pid == holder.pid
        message = str(refused.value)
        assert f"is held by process {holder.pid} since 20" in message
        assert "--url" in message
        assert "SPANHOUSE_STORE" in message
        assert "\n" not in message


def test_a_foreign_program_on_the_engines_files_is_named_too(path: Path) -> None:
    open_store(path).close()
    program = "import chdb, sys; held = chdb.connect(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path / "engine")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(StoreHeldError, match=f"is held by process {holder.pid} since 20"):
            open_store(path)
        holder.kill()
    open_store(path).close()


def test_an_engine_that_cannot_open_says_why(path: Path) -> None:
    path.mkdir()
    (path / "engine").write_text("not a directory")
    with pytest.raises(StorageError, match=f"cannot open the store {path}: .*engine"):
        open_store(path)


def test_rows_of_a_killed_process_are_kept_and_its_hold_ends_with_it(path: Path) -> None:
    insert = "[store.insert('spans', rows('spans', span('t1', f's{n}')), f'batch-{n}') for n in range(20)]"
    with child(path, insert) as holder:
        holder.kill()
        holder.wait()
        store = open_store(path)
        try:
            # The writer of the killed process sends its last batch again, as it never heard of its success.
            store.insert("spans", rows("spans", span("t1", "s19")), "batch-19")
            assert store.query("SELECT count() AS n FROM spans").column("n")[0].as_py() == 20
        finally:
            store.close()


@pytest.mark.parametrize("opening", ["", "thread"])
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_native_crash_ends_the_process(path: Path, number: signal.Signals, opening: str) -> None:
    """The engine's own handlers would keep the process hanging; a store opened by a worker thread is no exception."""
    reopen = (
        "store.close(); holder = []; "
        "worker = threading.Thread(target=lambda: holder.append(open_store(sys.argv[1]))); "
        "worker.start(); worker.join()"
    )
    with child(path, reopen if opening else "") as process:
        process.send_signal(number)
        assert process.wait(timeout=20) == -number


def test_the_same_process_is_told_so(path: Path, store: Store) -> None:
    with pytest.raises(StoreHeldError, match="already open in this process") as refused:
        open_store(path)
    assert refused.value.pid == os.getpid()


def test_a_second_directory_in_the_same_process_is_refused_and_let_go(path: Path, store: Store) -> None:
    other = path.with_name("other")
    with pytest.raises(StorageError, match=f"this process has {path}.* open"):
        open_store(other)
    store.close()
    open_store(other).close()


def test_a_store_that_is_just_being_opened_is_worth_another_try(path: Path) -> None:
    path.mkdir()
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreHeldError, match="is being opened by another process; try again") as refused:
            open_store(path)
        assert refused.value.pid is None


def test_an_opening_that_is_interrupted_holds_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "use_database", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_store(path)
    open_store(path).close()


def test_a_closed_store_can_be_opened_again_and_a_second_close_does_nothing(path: Path, store: Store) -> None:
    store.insert("spans", rows("spans", span()), "one")
    store.close()
    store.close()
    again = open_store(path)
    assert again.query("SELECT count() AS n FROM spans").column("n")[0].as_py() == 1
    again.close()


def test_a_closed_store_refuses_every_call(path: Path, store: Store) -> None:
    store.close()
    for call in (
        lambda: store.query("SELECT 1"),
        lambda: store.execute("SELECT 1"),
        lambda: store.insert("spans", rows("spans", span()), "one"),
    ):
        with pytest.raises(StorageError, match="is closed"):
            call()


def test_the_directory_is_closed_to_others_and_keeps_no_plain_copies(path: Path, store: Store) -> None:
    store.insert("spans", rows("spans", span()), "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600
    assert list((path / "scratch").iterdir()) == []


def test_batches_that_a_killed_process_left_are_swept_at_the_next_start(path: Path, store: Store) -> None:
    store.close()
    left = path / "scratch" / "left.arrow"
    left.write_bytes(b"a prompt in plain text")
    open_store(path).close()
    assert not left.exists()


def test_a_directory_that_cannot_be_made_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="set SPANHOUSE_STORE to a directory you own"):
        open_store(tmp_path / "file" / "store")


def test_the_engine_runs_within_the_caps_it_was_given(store: Store) -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    caps = embedded.memory_options(physical)
    seen = store.query(
        "SELECT name, value FROM system.server_settings WHERE name IN ('max_server_memory_usage', 'mark_cache_size')"
        " UNION ALL SELECT name, value FROM system.settings WHERE name LIKE 'max_%'"
    ).to_pylist()
    assert {row["name"]: int(row["value"]) for row in seen if row["name"] in caps} == caps


@pytest.mark.parametrize(("gigabytes", "cap_gigabytes"), [(1, 1), (4, 1.6), (16, 6.4), (256, 8)])
def test_the_engine_takes_a_share_of_memory_up_to_a_cap(gigabytes: int, cap_gigabytes: float) -> None:
    assert embedded.memory_options(gigabytes << 30)["max_server_memory_usage"] == int(cap_gigabytes * (1 << 30))


def test_a_reader_that_waits_too_long_is_told_to_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "READER_WAIT_SECONDS", 0.01)
    busy, done = threading.Barrier(embedded.READERS + 1), threading.Event()

    def hold() -> None:
        with store._reader():  # type: ignore[attr-defined]
            busy.wait()
            done.wait()

    threads = [threading.Thread(target=hold) for _ in range(embedded.READERS)]
    for thread in threads:
        thread.start()
    busy.wait()
    try:
        with pytest.raises(StoreUnavailableError, match="all 4 readers of the store were busy"):
            store.query("SELECT 1")
    finally:
        done.set()
        for thread in threads:
            thread.join()
