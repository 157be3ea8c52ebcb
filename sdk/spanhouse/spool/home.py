"""One process's directory in the spool, and how those of dead processes are told from those of living ones.

A living process holds a lock on a file in its directory; the kernel lets go of it however the process ends. Whoever
gets the lock of a directory that is not theirs has its files to ship.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

_LOCK: Final = "lock"
_OWNER: Final = "owner.json"
_NEW: Final = ".new-"
_UNFINISHED_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose records a directory holds, so that nobody sends them elsewhere or under a foreign key.

    Attributes:
        traces, logs: the URLs they go to.
        service, tenant, environment: as ``init`` was told.
        credentials: a fingerprint of the headers they are sent with.
    """

    traces: str
    logs: str
    service: str
    tenant: str
    environment: str
    credentials: str

    def may_send(self, other: Owner) -> bool:
        """Return whether records of ``other`` may be sent by this one.

        The place must be the same, and so must the credentials; where a key was replaced, the service and the tenant.
        """
        if (self.traces, self.logs) != (other.traces, other.logs):
            return False
        same_service = (self.service, self.tenant, self.environment) == (other.service, other.tenant, other.environment)
        return self.credentials == other.credentials or same_service


def fingerprint(*headers: Mapping[str, str]) -> str:
    """Return a fingerprint of request headers: 16 hex digits, from which they cannot be had back."""
    text = json.dumps([sorted(some.items()) for some in headers])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Home:
    """A directory whose lock this process holds.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, root: Path, owner: Owner) -> Self:
        """Return a new directory, locked before anybody else can see it.

        Raises:
            OSError: the root cannot be written to.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        unfinished = root / f"{_NEW}{name}"
        unfinished.mkdir(mode=0o700)
        lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with os.fdopen(os.open(unfinished / _OWNER, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                json.dump(asdict(owner), file)
            path = unfinished.rename(root / name)
        except OSError:
            os.close(lock)
            raise
        return cls(path, lock)

    def let_go(self) -> None:
        """Leave the files to whoever starts next; in a forked child, to the parent, who goes on holding the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remove(self) -> None:
        """Remove the directory where nothing but lock and owner is left in it, and give the lock back."""
        if self._lock < 0:
            return
        try:
            if {path.name for path in self.path.iterdir()} <= {_LOCK, _OWNER}:
                shutil.rmtree(self.path, ignore_errors=True)
        except OSError:
            # Somebody else removed it.
            return
        finally:
            self.let_go()


def orphans(root: Path, owner: Owner, held: set[Path]) -> Iterator[Home]:
    """Yield the locked directories of processes that are gone and whose records this owner may send.

    Args:
        root: of the spool.
        owner: who would send them.
        held: directories this process holds; a lock does not keep its own process out.
    """
    try:
        paths = sorted(root.iterdir())
    except OSError:
        return
    for path in paths:
        if path in held:
            continue
        if path.name.startswith(_NEW):
            _sweep(path)
            continue
        home = _taken(path)
        if home is None:
            continue
        theirs = _owner_of(path)
        if theirs is not None and owner.may_send(theirs):
            yield home
        else:
            home.let_go()


def _taken(path: Path) -> Home | None:
    try:
        # In a directory that several users share, what another one put there is not read.
        if path.lstat().st_uid != os.geteuid():
            return None
        lock = os.open(path / _LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    if not path.exists():
        os.close(lock)
        return None
    return Home(path, lock)


def _owner_of(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads((path / _OWNER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _sweep(path: Path) -> None:
    # A process that was killed between making a directory and naming it had written nothing into it yet.
    try:
        if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return
