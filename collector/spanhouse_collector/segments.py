"""The journal's directory: its segment files, who holds it, and what is found in it after a crash."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from spanhouse.errors import SpanhouseError
from spanhouse_collector import segment
from spanhouse_collector.segment import Damage, Entry, Found, Position

_SUFFIX = ".segment"


class JournalHeldError(SpanhouseError):
    """Another process has the journal directory open; the message names the directory and the fix."""


@dataclass(slots=True)
class Recovered:
    """What a start found in the journal.

    Attributes:
        entries: the sound records that are not yet stored, in the order of writing.
        torn_bytes: bytes cut off the ends of segments: writes that no sender was told of.
        damaged: stretches between sound records that could not be read; what they held is lost.
    """

    entries: list[Entry] = field(default_factory=list)
    torn_bytes: int = 0
    damaged: int = 0


class SegmentDirectory:
    """The segment files of one journal, held by this process until `release`.

    Args:
        path: made with mode 0700 where it does not exist.

    Raises:
        JournalHeldError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        self._lock = _hold(path)

    def release(self) -> None:
        """Let another process open the directory."""
        self._lock.close()

    def file(self, number: int) -> Path:
        """Return where a segment's file is or will be."""
        return self.path / f"{number:012d}{_SUFFIX}"

    def numbers(self) -> list[int]:
        """Return the segments that exist, oldest first."""
        return sorted(int(file.stem) for file in self.path.glob(f"*{_SUFFIX}"))

    def size(self, number: int) -> int:
        """Return a segment's bytes on disk."""
        return self.file(number).stat().st_size

    def recover(self, settled: Position) -> Recovered:
        """Return the records from a position on; cut off torn ends, so that a later start counts them no more."""
        recovered = Recovered()
        for number in self.numbers():
            if number < settled.segment:
                continue
            start = settled.offset if number == settled.segment else segment.HEADER_BYTES
            size = self.size(number)
            tear: Damage | None = None
            for piece in scan_file(self.file(number), start):
                if isinstance(piece, Found):
                    place = Position(number, piece.offset)
                    recovered.entries.append(Entry(place, piece.length, piece.items, piece.record.received_us))
                elif piece.offset + piece.length == size:
                    tear = piece
                else:
                    recovered.damaged += 1
            if tear:
                recovered.torn_bytes += tear.length
                os.truncate(self.file(number), tear.offset)
        return recovered

    def discard(self, before: int) -> int:
        """Delete the segments with smaller numbers; return the bytes freed."""
        freed = 0
        for number in self.numbers():
            if number < before:
                freed += self.size(number)
                self.file(number).unlink()
        return freed


def scan_file(file: Path, start: int, end: int | None = None) -> Iterator[Found | Damage]:
    """Yield the records of a segment file between two offsets, and the stretches that are none; see `segment.scan`."""
    with _mapped(file) as data:
        yield from segment.scan(data, start, end)


def sync_directory(path: Path) -> None:
    """Make new and deleted names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _mapped(file: Path) -> Iterator[memoryview]:
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_size == 0:
            # An empty file cannot be mapped; a crash between creating a segment and writing to it leaves one.
            yield memoryview(b"")
            return
        with mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapping, memoryview(mapping) as data:
            yield data


def _hold(path: Path) -> IO[str]:
    lock = os.fdopen(os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = ""
        with suppress(OSError):
            holder = lock.read().strip()
        lock.close()
        msg = f"process {holder or '?'} holds the journal {path}: stop it or give this collector another directory"
        raise JournalHeldError(msg) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
