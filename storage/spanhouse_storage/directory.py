"""Who owns a store directory: a lock file that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from spanhouse_storage.contract import StorageError, StoreHeldError


class StoreDirectory:
    """A store directory held by this process until `release`.

    Attributes:
        engine: folder of the engine's own files.
        scratch: folder for short-lived plain copies of batches; emptied at every opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = path / "engine"
        self.scratch = path / "scratch"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        except OSError as error:
            msg = f"cannot use {path} as a store: {error.strerror}; set SPANHOUSE_STORE to a directory you own"
            raise StorageError(msg) from error
        self._lock = _hold(path)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(mode=0o700)

    def engine_holder(self) -> StoreHeldError | None:
        """Return the error that names the process whose engine runs here without our lock, None where there is none."""
        try:
            lines = (self.engine / "status").read_text(encoding="utf-8").splitlines()
            status = dict(line.split(": ", 1) for line in lines if ": " in line)
            pid = int(status["PID"])
            os.kill(pid, 0)
        except (OSError, KeyError, ValueError):
            # No file, no number in it, or no such process any more.
            return None
        return _held_by(self.path, pid, status.get("Started at", "an unknown time"))

    def release(self) -> None:
        """Let another process open the directory."""
        self._lock.close()


def _hold(path: Path) -> IO[str]:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock = os.fdopen(descriptor, "r+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = lock.read()
        lock.close()
        raise _held(path, text) from None
    lock.truncate(0)
    json.dump({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}, lock)
    lock.flush()
    return lock


def _held(path: Path, text: str) -> StoreHeldError:
    try:
        holder = json.loads(text)
        pid, since = int(holder["pid"]), str(holder["since"]).replace("+00:00", "Z")
    except (ValueError, KeyError, TypeError):
        # The holder has the lock and has not written its name yet.
        return StoreHeldError(f"the store {path} is being opened by another process; try again in a moment")
    if pid == os.getpid():
        return StoreHeldError(
            f"the store {path} is already open in this process; use that store, or close it first", pid=pid
        )
    return _held_by(path, pid, since)


def _held_by(path: Path, pid: int, since: str) -> StoreHeldError:
    return StoreHeldError(
        f"the store {path} is held by process {pid} since {since}: talk to that process with --url, "
        "or set SPANHOUSE_STORE to another directory",
        pid=pid,
    )
