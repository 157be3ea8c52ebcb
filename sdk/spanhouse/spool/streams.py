"""The files of one kind of records: appended to, read back where memory does not hold them, removed when delivered."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from spanhouse.spool import frames
from spanhouse.spool.home import Home

SUFFIX: Final = ".seg"


@dataclass(eq=False, slots=True)
class Segment:
    """One file.

    Attributes:
        path: where it is.
        home: the directory it keeps.
        header: the payload of its first frame, empty where it has none.
        base: bytes up to the end of the header.
        size: bytes written.
        waiting: bytes of places not released yet.
        dropped: the file went, although not all of it was delivered.
    """

    path: Path
    home: Home
    header: bytes = b""
    base: int = 0
    size: int = 0
    waiting: int = 0
    dropped: bool = False
    descriptor: int = -1


class Place(NamedTuple):
    """Where records stand: frames of one segment from ``start`` up to ``end``."""

    segment: Segment
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a file of a dead process holds: frames that are whole, and places that are not."""

    segment: Segment
    frames: list[frames.Frame]
    damaged: int


class Stream:
    """Appends frames to the current segment. Safe to use from several threads.

    Args:
        name: of the kind of records; begins the files' names.
        home: makes the directory when the first record comes.
        segment_bytes: a file of this size is followed by the next.
    """

    def __init__(self, name: str, home: Callable[[], Home], segment_bytes: int) -> None:
        self.name = name
        self.on_drop: Callable[[Segment], None] = lambda _: None
        self._make_home = home
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        self._number = 0
        self._unsynced = False
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(segment.size for segment in list(self._segments))

    def append(self, kind: int, payload: bytes, records: int = 1, header: bytes = b"") -> Place:
        """Write one frame and return its place; when this returns, the kernel has it.

        Raises:
            OSError: the disk is full or fails. Nothing of the frame is left.
        """
        frame = frames.pack(kind, payload, records)
        with self._lock:
            segment = self._current
            if segment is None or segment.size >= self._segment_bytes or segment.header != header:
                segment = self._next(header)
            start = segment.size
            _write(segment, frame)
            segment.size = end = start + len(frame)
            segment.waiting += len(frame)
            self._unsynced = True
        return Place(segment, start, end)

    def read(self, place: Place) -> list[frames.Frame]:
        """Return the whole frames at a place; fewer than were written where the file was damaged or dropped since."""
        try:
            descriptor = os.open(place.segment.path, os.O_RDONLY)
        except OSError:
            return []
        try:
            data = os.pread(descriptor, place.end - place.start, place.start)
        finally:
            os.close(descriptor)
        return frames.unpack(data, place.start)[0]

    def release(self, place: Place) -> None:
        """Say that the records at a place need not be kept; a file all of whose records are released goes."""
        with self._lock:
            segment = place.segment
            segment.waiting -= place.end - place.start
            # Once closed, the files are the next start's: an answer that comes late must not take them from it.
            if segment.waiting > 0 or segment.dropped or self._closed:
                return
            if segment is not self._current:
                self._remove(segment)
            elif segment.size > segment.base:
                # One file is used over and over while the server keeps up.
                try:
                    os.ftruncate(segment.descriptor, segment.base)
                except OSError:
                    # It is sent once more by the next start, if that finds it.
                    self._current = None
                    return
                segment.size = segment.base

    def adopt(self, segment: Segment) -> None:
        """Take over a file of a dead process."""
        with self._lock:
            self._segments.insert(0, segment)

    def sync(self) -> None:
        """Make what was appended survive a loss of power too."""
        segment = self._current
        if not self._unsynced or segment is None:
            return
        self._unsynced = False
        try:
            os.fdatasync(segment.descriptor)
        except OSError:
            # The kernel still has it; that the disk fails shows when something is written.
            return

    def drop_oldest(self) -> bool:
        """Remove the oldest file that is not being written, delivered or not; False where there is none."""
        with self._lock:
            old = [segment for segment in self._segments if segment is not self._current]
            if not old:
                return False
            old[0].dropped = True
            self._remove(old[0])
        self.on_drop(old[0])
        return True

    def close(self) -> None:
        """Close the files; those with records that wait stay for the next start."""
        with self._lock:
            self._closed = True
            for segment in list(self._segments):
                if segment.waiting <= 0:
                    self._remove(segment)
            self.forget()

    def after_fork(self) -> None:
        """Know of no file any more in a forked child; its parent's thread may hold the lock there was."""
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Close the descriptors and know of no file any more."""
        for segment in self._segments:
            _close(segment)
        self._segments, self._current = [], None

    def _next(self, header: bytes) -> Segment:
        home = self._make_home()
        self._number += 1
        path = home.path / f"{self.name}-{self._number:06}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        segment = Segment(path, home, header, descriptor=descriptor)
        try:
            if header:
                start = frames.pack(frames.HEADER, header, 0)
                _write(segment, start)
                segment.base = segment.size = len(start)
        except OSError:
            _close(segment)
            path.unlink(missing_ok=True)
            raise
        before, self._current = self._current, segment
        self._segments.append(segment)
        if before is not None:
            _close(before)
            if before.waiting <= 0:
                self._remove(before)
        return segment

    def _remove(self, segment: Segment) -> None:
        _close(segment)
        with suppress(OSError):
            segment.path.unlink(missing_ok=True)
        if segment in self._segments:
            self._segments.remove(segment)


def recovered(path: Path, home: Home) -> Recovered:
    """Return what a file of a dead process holds.

    Raises:
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    found, damaged = frames.unpack(data)
    header = found[0].payload if found and found[0].kind == frames.HEADER else b""
    records = [frame for frame in found if frame.kind != frames.HEADER]
    waiting = sum(frame.end - frame.start for frame in records)
    return Recovered(Segment(path, home, header, 0, len(data), waiting), records, damaged)


def _write(segment: Segment, frame: bytes) -> None:
    written = os.write(segment.descriptor, frame)
    if written == len(frame):
        return
    # A disk that is nearly full takes a part: a torn frame must not stand between whole ones.
    os.ftruncate(segment.descriptor, segment.size)
    msg = f"{segment.path}: {written} of {len(frame)} bytes were written"
    raise OSError(msg)


def _close(segment: Segment) -> None:
    if segment.descriptor >= 0:
        os.close(segment.descriptor)
        segment.descriptor = -1
