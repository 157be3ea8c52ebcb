"""Files that are followed while a process runs: what they say now, and the last good of it where they say nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from spanhouse.errors import ConfigurationError

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often a followed file is looked at."""

T = TypeVar("T")


class FollowedFile(Generic[T]):
    """What a file says, read again when it changes: call it for what is in force now. Safe for threads.

    A file that was changed into something that cannot be used changes nothing: the last good one holds, the log says so
    once, and so does ``problem``.

    Attributes:
        problem: why the file as it is now is not in force; empty where it is.

    Args:
        load: reads it: what it says, and the files that is from. Raises ``ConfigurationError``.
        what: names it in the log, such as ``policy file p.yaml``.
        clock: seconds that only grow; the file is looked at once a second at most.

    Raises:
        ConfigurationError: there is nothing good to begin with.
    """

    def __init__(
        self, load: Callable[[], tuple[T, Sequence[str]]], what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load, self._what, self._clock = load, what, clock
        self._lock = threading.Lock()
        self._now, self._files = load()
        self._seen, self._looked = self._state(), clock()
        self.problem = ""

    def __call__(self) -> T:
        """Return what is in force now."""
        # Whoever finds another thread looking goes on with what was there: a call need not wait for a disk.
        if self._clock() - self._looked >= LOOK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._now

    def _look(self) -> None:
        self._looked = self._clock()
        state = self._state()
        if state == self._seen:
            return
        # Noted before the file is read: a change while it is read is seen the next time.
        self._seen = state
        try:
            self._now, files = self._load()
        except ConfigurationError as error:
            self.problem = str(error)
            _log.warning("the %s was changed and cannot be used; the last good one holds: %s", self._what, error)
            return
        self.problem = ""
        if files != self._files:
            self._files = files
            self._seen = self._state()
        _log.info("the %s was changed and is in force", self._what)

    def _state(self) -> list[tuple[str, int, int, int] | str]:
        return [_stamp(file) for file in self._files]


def _stamp(file: str) -> tuple[str, int, int, int] | str:
    try:
        found = Path(file).stat()
    except OSError as problem:
        return f"{file}: {problem.strerror}"
    return (file, found.st_mtime_ns, found.st_size, found.st_ino)
