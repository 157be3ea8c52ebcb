"""What waits to be sent: encoded bodies in memory, or the places in the spool where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from spanhouse.notices import warn_once
from spanhouse.spool import frames
from spanhouse.spool.events import bodies_of
from spanhouse.spool.streams import Place, Recovered, Stream

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
_JOINED_BYTES = 1024 * 1024
"""Small bodies that wait together are sent together, up to this size."""


@dataclass(eq=False, slots=True)
class Entry:
    """One request that waits.

    Attributes:
        records: how many spans or log records it holds.
        size: bytes.
        body: it itself; None where it is on disk alone.
        place: where it is on disk; None where it is in memory alone.
        failed: how many of the records are not in the body, since they cannot be encoded.
    """

    records: int
    size: int
    body: bytes | None = None
    place: Place | None = None
    failed: int = 0

    def takes(self, other: Entry) -> bool:
        """Return whether the other one, which stands behind this one on disk, may become a part of it; makes it so."""
        mine, theirs = self.place, other.place
        if mine is None or theirs is None or mine.segment is not theirs.segment or mine.end != theirs.start:
            return False
        if self.size + other.size > _JOINED_BYTES:
            return False
        self.place = Place(mine.segment, mine.start, theirs.end)
        self.records += other.records
        self.failed += other.failed
        self.size += other.size
        # OTLP requests are repeated fields alone: two of them in a row are one.
        self.body = None if self.body is None or other.body is None else self.body + other.body
        return True


class Keeper(Protocol[T_contra]):
    """Makes entries of records, and keeps them where it keeps them."""

    @property
    def durable(self) -> bool:
        """Whether entries outlive the process."""

    def keep(self, batch: Sequence[T_contra]) -> list[Entry]:
        """Return the entries for a batch; raises whatever encoding raises."""

    def load(self, entry: Entry) -> tuple[bytes, int]:
        """Return an entry's body and how many of its records could not be had."""

    def release(self, entry: Entry) -> None:
        """Say that the entry is settled."""

    def sync(self) -> None:
        """Make what is kept survive a loss of power."""


class InMemory(Generic[T]):
    """Keeps bodies in memory."""

    durable = False

    def __init__(self, encode: Callable[[Sequence[T]], bytes]) -> None:
        self._encode = encode

    def keep(self, batch: Sequence[T]) -> list[Entry]:
        """Return one entry."""
        body = self._encode(batch)
        return [Entry(len(batch), len(body), body)]

    def load(self, entry: Entry) -> tuple[bytes, int]:
        """Return the body."""
        return entry.body or b"", 0

    def release(self, entry: Entry) -> None:
        """Nothing to do: the entry goes with its last reference."""

    def sync(self) -> None:
        """Nothing to do: nothing outlives the process."""


class OnDisk(Generic[T]):
    """Keeps bodies in the spool; in memory those for which the disk has no room."""

    durable = True

    def __init__(self, encode: Callable[[Sequence[T]], bytes], stream: Stream, trim: Callable[[], None]) -> None:
        self._encode = encode
        self._stream = stream
        self._trim = trim

    def keep(self, batch: Sequence[T]) -> list[Entry]:
        """Return one entry."""
        body = self._encode(batch)
        try:
            place = self._stream.append(frames.BODY, body, len(batch))
        except OSError as error:
            not_writable(error)
            return [Entry(len(batch), len(body), body)]
        self._trim()
        return [Entry(len(batch), len(body), body, place)]

    def load(self, entry: Entry) -> tuple[bytes, int]:
        """Return the body from memory or disk."""
        if entry.body is not None or entry.place is None:
            return entry.body or b"", 0
        found = self._stream.read(entry.place)
        return b"".join(frame.payload for frame in found), entry.records - sum(frame.records for frame in found)

    def release(self, entry: Entry) -> None:
        """Let the disk have its room back."""
        if entry.place is not None:
            self._stream.release(entry.place)

    def sync(self) -> None:
        """Nothing to do: spans may go with the power, not with the process."""


class Written(NamedTuple):
    """An audit event that is in the spool already; in memory alone where ``place`` is None."""

    header: bytes
    payload: bytes
    place: Place | None


class AuditOnDisk:
    """Makes entries of audit events, which are in the spool before they come here."""

    durable = True

    def __init__(self, stream: Stream, trim: Callable[[], None]) -> None:
        self._stream = stream
        self._trim = trim

    def write(self, header: bytes, payload: bytes) -> Written:
        """Put one event on disk; in memory alone where the disk does not take it."""
        try:
            return Written(header, payload, self._stream.append(frames.EVENT, payload, header=header))
        except OSError as error:
            not_writable(error)
            return Written(header, payload, None)

    def keep(self, batch: Sequence[Written]) -> list[Entry]:
        """Return one entry for each stretch of events that stand together."""
        entries: list[Entry] = []
        for stretch in _stretches(batch):
            body, failed = bodies_of(stretch[0].header, [event.payload for event in stretch])
            first, last = stretch[0].place, stretch[-1].place
            place = None if first is None or last is None else Place(first.segment, first.start, last.end)
            entries.append(Entry(len(stretch), len(body), body, place, failed))
        self._trim()
        return entries

    def load(self, entry: Entry) -> tuple[bytes, int]:
        """Return the body from memory or made of what is on disk."""
        if entry.body is not None or entry.place is None:
            return entry.body or b"", entry.failed
        found = self._stream.read(entry.place)
        body, failed = bodies_of(entry.place.segment.header, [frame.payload for frame in found])
        return body, failed + entry.records - len(found)

    def release(self, entry: Entry) -> None:
        """Let the disk have its room back."""
        if entry.place is not None:
            self._stream.release(entry.place)

    def sync(self) -> None:
        """Make events survive a loss of power."""
        self._stream.sync()


def _stretches(batch: Sequence[Written]) -> list[list[Written]]:
    stretches: list[list[Written]] = []
    before: Written | None = None
    for event in batch:
        if before is not None and _goes_on(before, event):
            stretches[-1].append(event)
        else:
            stretches.append([event])
        before = event
    return stretches


def _goes_on(before: Written, event: Written) -> bool:
    if before.place is None or event.place is None:
        return before.place is event.place and before.header is event.header
    return before.place.segment is event.place.segment and before.place.end == event.place.start


def entries_of(file: Recovered) -> list[Entry]:
    """Return what a dead process's file has to be sent."""
    entries: list[Entry] = []
    for frame in file.frames:
        entry = Entry(frame.records, len(frame.payload), None, Place(file.segment, frame.start, frame.end))
        if not (entries and entries[-1].takes(entry)):
            entries.append(entry)
    return entries


def not_writable(error: OSError) -> None:
    """Say once that records wait in memory, and why."""
    warn_once("spool", f"the disk buffer takes nothing ({error}): records wait in memory and end with the process")
