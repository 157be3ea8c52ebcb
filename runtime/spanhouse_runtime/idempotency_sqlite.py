"""Intents and outcomes in a SQLite file: they outlive the process, and several processes may share them."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

from spanhouse_runtime.idempotency import Begun, Prior, judge

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key       TEXT PRIMARY KEY,
    tool      TEXT NOT NULL,
    args_hash TEXT NOT NULL,
    begun_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ended_at  TEXT,
    result    TEXT
) WITHOUT ROWID
"""


class SqliteIdempotencyStore:
    """Intents and outcomes in a file, made with mode 0600.

    Each record is on disk before the call it is about goes on (``synchronous=FULL``): after a power cut an intent
    without outcome is found as such.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0) -> None:
        # Results may hold what the tools returned, so the file is its owner's alone from the first moment.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_SCHEMA)

    def begin(self, key: str, tool: str, args_hash: str) -> Begun:
        """Record the intent if the key is new, and return what was known before."""
        with self._lock:
            made = self._db.execute(
                "INSERT INTO calls (key, tool, args_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (key, tool, args_hash),
            )
            if made.rowcount == 1:
                return Begun(Prior.NEW)
            row = self._db.execute("SELECT args_hash, result FROM calls WHERE key = ?", (key,)).fetchone()
        # Another process may have withdrawn the row between the two statements; unknown is then the careful answer.
        return Begun(Prior.UNKNOWN) if row is None else judge(args_hash, row[0], row[1])

    def finish(self, key: str, result: str) -> None:
        """Record the outcome of an intent."""
        with self._lock:
            self._db.execute(
                "UPDATE calls SET result = ?, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE key = ?",
                (result, key),
            )

    def withdraw(self, key: str) -> None:
        """Forget an intent of which it is sure that nothing was done."""
        with self._lock:
            self._db.execute("DELETE FROM calls WHERE key = ? AND result IS NULL", (key,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
