"""The journal: what was acknowledged is on disk before the sender hears of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from spanhouse.errors import SpanhouseError
from spanhouse_collector import segment
from spanhouse_collector.records import RawRecord
from spanhouse_collector.segment import START, Entry, Position
from spanhouse_collector.segments import Recovered, SegmentDirectory, sync_directory

SEGMENT_BYTES: Final = 64 << 20
MAX_BYTES: Final = 4 << 30
MIN_FREE_BYTES: Final = 256 << 20
MAX_WAITING_BYTES: Final = 256 << 20
"""Bodies that wait in memory for the disk; beyond it senders are told to come back."""

_FREE_SPACE_CHECK_SECONDS: Final = 1.0


class JournalUnavailableError(SpanhouseError):
    """The record was not taken; nothing of it is on disk for certain, and sending it again later is right.

    Attributes:
        retry_after: seconds after which to try again.
    """

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _Waiting(NamedTuple):
    record: RawRecord
    items: int
    length: int
    done: Future[Entry]


class Journal:
    """Appends records durably: many appends, one fsync, one thread that does it.

    Args:
        segments: the directory written to; whoever opened it releases it after `close`.
        settled: everything before this position is stored already.
        on_committed: called in the journal's thread with the entries of each fsync, before their futures resolve.
        max_bytes: segments on disk may take this much before appends are refused.
        min_free_bytes: appends are refused while the disk has less free space.
    """

    def __init__(
        self,
        segments: SegmentDirectory,
        *,
        settled: Position = START,
        on_committed: Callable[[Sequence[Entry]], None] = lambda _: None,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
        min_free_bytes: int = MIN_FREE_BYTES,
    ) -> None:
        self._segments = segments
        self.recovered: Recovered = self._segments.recover(settled)
        if not self.recovered.entries:
            # All is stored, so nothing of what senders said needs to lie here any longer.
            self._segments.discard(settled.segment + 1)
        numbers = self._segments.numbers()
        self._bytes = sum(map(self._segments.size, numbers))
        # Writing always begins in a new file: what a crash left behind is never appended to.
        self._next_segment = max([*numbers, settled.segment]) + 1
        self._file: _SegmentFile | None = None
        self._on_committed = on_committed
        self._segment_bytes, self._max_bytes, self._min_free_bytes = segment_bytes, max_bytes, min_free_bytes
        self._free_checked, self._disk_full = float("-inf"), ""
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._rotations: list[Future[int]] = []
        self._thread = threading.Thread(target=self._run, name="spanhouse-journal")
        self._thread.start()

    @property
    def bytes(self) -> int:
        """Bytes of all segments on disk."""
        return self._bytes

    def append(self, record: RawRecord, items: int) -> Future[Entry]:
        """Return a future that resolves once the record is fsynced; it fails with `JournalUnavailableError`.

        Args:
            record: what was received.
            items: spans or log records in the body.

        Raises:
            JournalUnavailableError: the journal is closed, full, or behind; nothing was written.
        """
        length = segment.encoded_length(record)
        waiting = _Waiting(record, items, length, Future())
        with self._changed:
            self._refuse_if_full(length)
            self._waiting.append(waiting)
            self._waiting_bytes += length
            self._changed.notify()
        return waiting.done

    def refusal(self) -> str:
        """Return why an append would be refused now; empty where it would not."""
        with self._changed:
            try:
                self._refuse_if_full(0)
            except JournalUnavailableError as error:
                return str(error)
        return ""

    def file(self, number: int) -> Path:
        """Return a segment's file."""
        return self._segments.file(number)

    def discard(self, settled: Position) -> None:
        """Delete the segments wholly before a position, which must be one that records were committed up to."""
        freed = self._segments.discard(settled.segment)
        with self._changed:
            self._bytes -= freed
            self._free_checked = float("-inf")

    def rotate(self) -> int:
        """Let what comes from now on go to a new file; return the number of the last file before it."""
        with self._changed:
            if self._closing:
                return self._next_segment - 1
            rotation: Future[int] = Future()
            self._rotations.append(rotation)
            self._changed.notify()
        return rotation.result()

    def close(self) -> None:
        """Write what waits and stop the thread. A second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._file:
            self._file.close()

    def _refuse_if_full(self, length: int) -> None:
        if self._closing:
            msg = "the collector is stopping: send again to its successor"
            raise JournalUnavailableError(msg)
        if self._bytes + self._waiting_bytes + length > self._max_bytes:
            msg = f"the journal {self._segments.path} is full ({self._max_bytes} bytes): the store is behind or away"
            raise JournalUnavailableError(msg, retry_after=30)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            msg = f"{self._waiting_bytes} bytes wait for the journal's disk: it is too slow for what is sent"
            raise JournalUnavailableError(msg)
        self._check_free_space()
        if self._disk_full:
            raise JournalUnavailableError(self._disk_full, retry_after=30)

    def _check_free_space(self) -> None:
        now = time.monotonic()
        if now - self._free_checked < _FREE_SPACE_CHECK_SECONDS:
            return
        self._free_checked = now
        state = os.statvfs(self._segments.path)
        free = state.f_bavail * state.f_frsize
        self._disk_full = (
            f"the disk of the journal {self._segments.path} has {free} bytes left, {self._min_free_bytes} are needed"
            if free < self._min_free_bytes
            else ""
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._rotations or self._closing)
                if not self._waiting and not self._rotations:
                    return
                group, self._waiting = self._waiting, []
                rotations, self._rotations = self._rotations, []
            if group:
                self._commit(group)
            self._begin_anew(rotations)
            with self._changed:
                self._waiting_bytes -= sum(waiting.length for waiting in group)

    def _begin_anew(self, rotations: list[Future[int]]) -> None:
        if rotations and self._file:
            self._file.close()
            self._file = None
        for rotation in rotations:
            rotation.set_result(self._next_segment - 1)

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            entries = self._write(group)
        except OSError as error:
            self._abandon_file()
            failure = JournalUnavailableError(f"the journal {self._segments.path} could not be written: {error}")
            for waiting in group:
                if waiting.done.set_running_or_notify_cancel():
                    waiting.done.set_exception(failure)
            return
        self._on_committed(entries)
        for waiting, entry in zip(group, entries, strict=True):
            if waiting.done.set_running_or_notify_cancel():
                waiting.done.set_result(entry)

    def _write(self, group: list[_Waiting]) -> list[Entry]:
        file = self._open_file()
        entries: list[Entry] = []
        offset = file.synced
        for waiting in group:
            place = Position(file.number, offset)
            entries.append(Entry(place, waiting.length, waiting.items, waiting.record.received_us))
            offset += waiting.length
        written = file.append([segment.encode(file.marker, waiting.record, waiting.items) for waiting in group])
        with self._changed:
            self._bytes += written
        return entries

    def _open_file(self) -> _SegmentFile:
        if self._file and self._file.synced >= self._segment_bytes:
            self._file.close()
            self._file = None
        if not self._file:
            number = self._next_segment
            self._next_segment += 1
            self._file = _SegmentFile(number, self._segments.file(number))
            with self._changed:
                self._bytes += self._file.synced
        return self._file

    def _abandon_file(self) -> None:
        # After a failed fsync nobody knows which pages reached the disk, so the file is never written to again. Its
        # records up to the last good fsync stand; what follows was not acknowledged and is cut if the disk lets us.
        if self._file:
            self._file.abandon()
            self._file = None


class _SegmentFile:
    """One segment being written."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.marker, header = segment.new_header()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self.synced = 0
        try:
            self.append([header])
            sync_directory(path.parent)
        except OSError:
            self.close()
            raise

    def append(self, pieces: list[bytes]) -> int:
        data = memoryview(b"".join(pieces))
        rest = data
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fdatasync(self._descriptor)
        self.synced += len(data)
        return len(data)

    def abandon(self) -> None:
        # Where the disk refuses even this, a later start reads the end as records or as a tear, and either is right.
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.synced)
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)
