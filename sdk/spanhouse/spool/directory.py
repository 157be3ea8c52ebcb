"""The spool of one process: a stream for each kind of records, one directory, one cap, and the dead's files."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from spanhouse.errors import ConfigurationError
from spanhouse.spool.home import Home, Owner, orphans
from spanhouse.spool.streams import SUFFIX, Recovered, Stream, recovered

SPANS, LOGS, AUDIT = "spans", "logs", "audit"
_NAMES: Final = (SPANS, LOGS, AUDIT)
"""In the order in which they go where there is no room."""
DEFAULT_BYTES: Final = 512 * 1024 * 1024
_SEGMENT_BYTES: Final = 4 * 1024 * 1024
_SMALLEST: Final = 1024 * 1024


def root_in(environ: Mapping[str, str]) -> Path | None:
    """Return where the spool is: ``SPANHOUSE_SPOOL`` (empty: None, memory alone), else the user's state directory."""
    said = environ.get("SPANHOUSE_SPOOL")
    if said is not None:
        return Path(said).expanduser().absolute() if said.strip() else None
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return (Path(state).expanduser() / "spanhouse" / "spool").absolute()
    except RuntimeError:
        # A container may run as a user without a home.
        return None


def cap_in(environ: Mapping[str, str]) -> int:
    """Return how many bytes the spool may take: ``SPANHOUSE_SPOOL_BYTES``, else 512 MiB.

    Raises:
        ConfigurationError: the variable is no number of at least 1 MiB.
    """
    text = environ.get("SPANHOUSE_SPOOL_BYTES")
    if not text:
        return DEFAULT_BYTES
    if not text.isdecimal() or int(text) < _SMALLEST:
        msg = f"SPANHOUSE_SPOOL_BYTES is {text!r}: give a number of bytes, {_SMALLEST} or more"
        raise ConfigurationError(msg)
    return int(text)


class Spool:
    """Makes its directory when the first record comes, and takes over those of processes that are gone.

    Args:
        root: where the directories of all processes are.
        owner: whose records these are.
        cap: bytes of all files; over it the oldest spans go, audit events last.
    """

    def __init__(self, root: Path, owner: Owner, cap: int = DEFAULT_BYTES) -> None:
        self.root = root
        self._owner = owner
        self._cap = cap
        self._lock = threading.Lock()
        self._home: Home | None = None
        self._adopted: list[Home] = []
        segment_bytes = max(64 * 1024, min(_SEGMENT_BYTES, cap // 16))
        self.streams = {name: Stream(name, self._own, segment_bytes) for name in _NAMES}
        self_ref = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (let_go := self_ref()) and let_go())

    def check(self) -> None:
        """Make sure that files can be made.

        Raises:
            OSError: they cannot.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self.root, os.W_OK | os.X_OK):
            msg = f"{self.root} is not writable"
            raise PermissionError(msg)

    def trim(self) -> None:
        """Remove the oldest files while all of them take more than the cap."""
        while sum(stream.size for stream in self.streams.values()) > self._cap:
            if not any(self.streams[name].drop_oldest() for name in _NAMES):
                return

    def recover(self) -> Iterator[tuple[Stream, Recovered]]:
        """Yield the files of processes that are gone, oldest first; from now on they are this process's."""
        with self._lock:
            held = {home.path for home in self._adopted}
            if self._home is not None:
                held.add(self._home.path)
        for home in orphans(self.root, self._owner, held):
            with self._lock:
                self._adopted.append(home)
            found = False
            for path in sorted(home.path.glob(f"*{SUFFIX}")):
                stream = self.streams.get(path.name.rpartition("-")[0])
                if stream is None:
                    continue
                try:
                    file = recovered(path, home)
                except OSError:
                    continue
                if not file.frames:
                    path.unlink(missing_ok=True)
                if file.frames or file.damaged:
                    found = True
                    if file.frames:
                        stream.adopt(file.segment)
                    yield stream, file
            if not found:
                self.tidy()

    def tidy(self) -> None:
        """Remove the directories of the dead whose records have all been delivered."""
        with self._lock:
            for home in list(self._adopted):
                if not any(home.path.glob(f"*{SUFFIX}")):
                    home.remove()
                    self._adopted.remove(home)

    def close(self) -> None:
        """Remove what was delivered and leave the rest to the next start."""
        for stream in self.streams.values():
            stream.close()
        with self._lock:
            for home in (*self._adopted, *([self._home] if self._home else [])):
                home.remove()
            self._adopted, self._home = [], None

    def _after_fork(self) -> None:
        # The parent keeps its files: the child closes the descriptors it was given and starts its own.
        self._lock = threading.Lock()
        for home in (*self._adopted, *([self._home] if self._home else [])):
            home.let_go()
        self._adopted, self._home = [], None
        for stream in self.streams.values():
            stream.after_fork()

    def _own(self) -> Home:
        with self._lock:
            if self._home is None:
                self._home = Home.make(self.root, self._owner)
            return self._home
