"""Which stretch of the journal makes which batch: written down before the insert, so that a repeat is the same batch.

The file is lines of `crc32 JSON`. Its first line names the journal by a random id, which goes into every insert token:
a journal made anew begins its numbers anew, and must not be taken for the old one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spanhouse_collector.segment import START, Position
from spanhouse_collector.segments import sync_directory

FILE_NAME: Final = "batches.log"
_COMPACT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """A stretch of the journal that is inserted as one: from `start` up to, not including, `end`."""

    sequence: int
    start: Position
    end: Position


class BatchLog:
    """The planned and the stored batches of one journal.

    Args:
        directory: the journal's own; exists.

    Attributes:
        settled: everything before this position is stored.
        unsettled: batches planned and not known to be stored, in order.
        damaged_lines: lines that could not be read. The unsettled batches are then cut anew, under other tokens, and
            the store's replacing keys hide the repeats.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self.journal_id = secrets.token_hex(8)
        self.settled = START
        self.unsettled: deque[Batch] = deque()
        self.damaged_lines = 0
        self._next = 0
        self._descriptor: int | None = None
        self._size = 0
        # Batches are planned by one thread and settled by another.
        self._lock = threading.Lock()
        if self._path.exists():
            self._read()
        self._rewrite()

    def plan(self, start: Position, end: Position) -> Batch:
        """Return the next batch, durable before this returns."""
        with self._lock:
            batch = Batch(self._next, start, end)
            self._next += 1
            self._append({"planned": batch.sequence, "start": list(start), "end": list(end)})
            self._sync()
            self.unsettled.append(batch)
        return batch

    def stored(self, batch: Batch) -> None:
        """Note that the oldest unsettled batch is in the store. Not yet durable: losing the note repeats the insert."""
        with self._lock:
            if not self.unsettled or self.unsettled[0] != batch:
                msg = f"batch {batch.sequence} is not the oldest unsettled one: batches are stored in order"
                raise ValueError(msg)
            self._append({"stored": batch.sequence})
            self.unsettled.popleft()
            self.settled = batch.end

    def sync(self) -> None:
        """Make the notes durable, and short again where they grew long; needed before segments are deleted."""
        with self._lock:
            if self._size > _COMPACT_BYTES:
                self._rewrite()
            else:
                self._sync()

    def token(self, batch: Batch, table: str, part: str = "") -> str:
        """Return the insert token of a batch's rows for one table: the same for every repeat, and for nothing else."""
        text = f"{self.journal_id}:{batch.sequence}:{table}:{part}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._sync()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _read(self) -> None:
        for line in self._path.read_bytes().split(b"\n")[:-1]:
            note = _decode(line)
            if note is None:
                self.damaged_lines += 1
            elif "journal" in note:
                self.journal_id, self._next, self.settled = note["journal"], note["next"], Position(*note["settled"])
            elif "planned" in note:
                self._next = max(self._next, note["planned"] + 1)
                self.unsettled.append(Batch(note["planned"], Position(*note["start"]), Position(*note["end"])))
            else:
                while self.unsettled and self.unsettled[0].sequence <= note["stored"]:
                    self.settled = self.unsettled.popleft().end
        if self.damaged_lines:
            self.unsettled.clear()

    def _rewrite(self) -> None:
        fresh = self._path.with_suffix(".new")
        content = b"".join(map(_encode, self._notes()))
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write(descriptor, content)
            os.fsync(descriptor)
            fresh.replace(self._path)
            sync_directory(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(content)

    def _notes(self) -> Iterator[dict[str, Any]]:
        yield {"journal": self.journal_id, "next": self._next, "settled": list(self.settled)}
        for batch in self.unsettled:
            yield {"planned": batch.sequence, "start": list(batch.start), "end": list(batch.end)}

    def _sync(self) -> None:
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)

    def _append(self, note: dict[str, Any]) -> None:
        assert self._descriptor is not None
        line = _encode(note)
        try:
            _write(self._descriptor, line)
        except OSError:
            # Half a line would spoil the one written after it.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _encode(note: dict[str, Any]) -> bytes:
    text = json.dumps(note, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _decode(line: bytes) -> dict[str, Any] | None:
    crc, _, text = line.partition(b" ")
    if crc != b"%08x" % zlib.crc32(text):
        return None
    note: dict[str, Any] = json.loads(text)
    return note
