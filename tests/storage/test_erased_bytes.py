"""Erased means gone from the disk, not only from the answers."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.erasable import MARKER, MINE, files_with, fill

from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.erasure import TABLES, Subject, erase, find
from spanhouse_storage.inspection import engine_seconds, outdated_parts

SOON = "old_parts_lifetime = 0, cleanup_delay_period = 0, max_cleanup_delay_period = 1"
UNPACKED = "min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"


def test_the_bytes_are_gone_from_the_stores_files(tmp_path: Path) -> None:
    """Nothing of the person's text or name is in any file once the engine has let go of the old parts."""
    path = tmp_path / "store"
    store = open_store(path)
    migrate(store)
    store.close()
    store = open_store(path)
    try:
        for table in TABLES:
            # What a power cut needs kept for a minute need not be waited for here; texts lie open without a codec.
            store.execute(f"ALTER TABLE {table} MODIFY SETTING {SOON}, {UNPACKED}")
        store.execute(
            "ALTER TABLE spans MODIFY COLUMN output String CODEC(NONE), MODIFY COLUMN user_id String CODEC(NONE)"
        )
        fill(store)
        assert files_with(path, MARKER)
        assert files_with(path, MINE)
        subject = Subject("user", MINE, "acme")
        erase(store, subject, find(store, subject))
        deadline = time.monotonic() + 60
        while outdated_parts(store, TABLES, engine_seconds(store)) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        store.close()
    assert files_with(path, MARKER) == []
    assert files_with(path, MINE) == []


def test_parts_that_are_no_longer_read_are_told_of_until_they_are_gone(tmp_path: Path) -> None:
    store: Store = open_store(tmp_path / "store")
    try:
        migrate(store)
        fill(store)
        assert outdated_parts(store, ["spans"], engine_seconds(store)) == 0
        subject = Subject("user", MINE, "acme")
        erase(store, subject, find(store, subject))
        assert outdated_parts(store, ["spans"], engine_seconds(store)) > 0
        assert outdated_parts(store, ["spans"], engine_seconds(store) - 3_600) == 0
    finally:
        store.close()
