"""The transactional state: private, durable across a kill, shared by threads."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from spanhouse_storage import StorageError
from spanhouse_storage.state import get_watermark, open_state, set_watermark, watermarks

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "state.db"


def test_a_watermark_is_the_value_last_set(path: Path) -> None:
    engine = open_state(path)
    assert get_watermark(engine, "facts") is None
    set_watermark(engine, "facts", "1")
    set_watermark(engine, "facts", "2")
    set_watermark(engine, "alerts", "")
    assert (get_watermark(engine, "facts"), get_watermark(engine, "alerts")) == ("2", "")
    engine.dispose()


def test_opening_again_finds_what_was_there(path: Path) -> None:
    engine = open_state(path)
    set_watermark(engine, "facts", "1")
    engine.dispose()
    again = open_state(f"sqlite:///{path}")
    assert get_watermark(again, "facts") == "1"
    again.dispose()


def test_the_files_are_the_owners_alone(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    engine = open_state(path)
    set_watermark(engine, "facts", "1")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    engine.dispose()
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_every_connection_is_prepared(path: Path) -> None:
    engine = open_state(path)
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            settings = [
                connection.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            assert settings == ["wal", 1, 1, 5_000]
    engine.dispose()


def test_a_commit_survives_a_killed_process(path: Path) -> None:
    program = (
        "import os, sys, signal; from spanhouse_storage.state import *; engine = open_state(sys.argv[1]);"
        "set_watermark(engine, 'facts', '7'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=REPOSITORY, check=False)
    assert ended.returncode == -9
    engine = open_state(path)
    assert get_watermark(engine, "facts") == "7"
    engine.dispose()


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    engine = open_state(path)

    def write_twice() -> None:
        with engine.begin() as connection:
            connection.execute(insert(watermarks).values(name="a", value="1"))
            connection.execute(insert(watermarks).values(name="a", value="2"))

    with pytest.raises(IntegrityError):
        write_twice()
    assert get_watermark(engine, "a") is None
    engine.dispose()


def test_threads_that_set_one_watermark_take_turns(path: Path) -> None:
    engine = open_state(path)
    threads = [threading.Thread(target=set_watermark, args=(engine, "facts", str(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get_watermark(engine, "facts") in {str(n) for n in range(8)}
    with engine.connect() as connection:
        assert len(connection.execute(select(watermarks).where(watermarks.c.name == "facts")).all()) == 1
    engine.dispose()


def test_a_place_that_cannot_be_used_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="set SPANHOUSE_DATA to a directory you own"):
        open_state(tmp_path / "file" / "state.db")
