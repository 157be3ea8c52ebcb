"""The journal's file format: what a segment holds, how a record is written, and how records are found again.

A segment is a header and then records:

    header   b"SPANJNL1", marker (8 random bytes), crc32 of the two
    record   marker, length of the payload, crc32 of the payload, payload
    payload  signal, collector, tenant length, received_us, items, tenant, body

The marker is drawn anew for each segment, so that after damage the next record can be looked for by it and no body can
hold a forged one. All numbers are little-endian.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from spanhouse_collector.records import SIGNALS, RawRecord

MAGIC: Final = b"SPANJNL1"
MARKER_BYTES: Final = 8
HEADER_BYTES: Final = len(MAGIC) + MARKER_BYTES + 4
FRAME_BYTES: Final = MARKER_BYTES + 8

_FRAME = struct.Struct("<II")
_PAYLOAD = struct.Struct("<BBHQI")
_CRC = struct.Struct("<I")


class Position(NamedTuple):
    """A place in the journal; positions sort in the order of writing."""

    segment: int
    offset: int


START: Final = Position(0, 0)
"""Before everything."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one record lies, and what batching must know of it.

    Attributes:
        length: bytes on disk, frame included.
        items: spans or log records in the body.
    """

    position: Position
    length: int
    items: int
    received_us: int

    @property
    def end(self) -> Position:
        """The first byte after the record."""
        return Position(self.position.segment, self.position.offset + self.length)


@dataclass(frozen=True, slots=True)
class Found:
    """One sound record of a segment: where it starts, how long it is on disk, and what it says."""

    offset: int
    length: int
    items: int
    record: RawRecord


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record; at the end of the file this is a torn write."""

    offset: int
    length: int


def new_header() -> tuple[bytes, bytes]:
    """Return the marker and the header of a new segment."""
    marker = os.urandom(MARKER_BYTES)
    head = MAGIC + marker
    return marker, head + _CRC.pack(zlib.crc32(head))


def encode(marker: bytes, record: RawRecord, items: int) -> bytes:
    """Return the record as it stands in a segment with this marker."""
    tenant = record.tenant.encode()
    head = _PAYLOAD.pack(SIGNALS.index(record.signal), record.collector, len(tenant), record.received_us, items)
    crc = zlib.crc32(record.body, zlib.crc32(head + tenant))
    length = len(head) + len(tenant) + len(record.body)
    return b"".join((marker, _FRAME.pack(length, crc), head, tenant, record.body))


def encoded_length(record: RawRecord) -> int:
    """Return how many bytes `encode` gives for the record."""
    return FRAME_BYTES + _PAYLOAD.size + len(record.tenant.encode()) + len(record.body)


def scan(data: memoryview, start: int = HEADER_BYTES, end: int | None = None) -> Iterator[Found | Damage]:
    """Yield every sound record between two offsets, and the stretches between them that are none.

    Args:
        data: the whole segment.
        start: offset of a record's first byte.
        end: offset to stop before; the end of the segment if None.
    """
    stop = len(data) if end is None else min(end, len(data))
    marker = _marker(data)
    offset = start
    while offset < stop:
        found = _record_at(data, marker, offset, stop)
        if found:
            yield found
            offset += found.length
            continue
        following = _next_record(data, marker, offset + 1, stop)
        yield Damage(offset, following - offset)
        offset = following


def _marker(data: memoryview) -> bytes:
    head = bytes(data[:HEADER_BYTES])
    sound = len(head) == HEADER_BYTES and head[-4:] == _CRC.pack(zlib.crc32(head[:-4]))
    # A damaged header still leaves the marker at the head of the first record.
    return head[len(MAGIC) : -4] if sound else bytes(data[HEADER_BYTES : HEADER_BYTES + MARKER_BYTES])


def _record_at(data: memoryview, marker: bytes, offset: int, stop: int) -> Found | None:
    body = offset + FRAME_BYTES
    if body + _PAYLOAD.size > stop or data[offset : offset + MARKER_BYTES] != marker:
        return None
    length, crc = _FRAME.unpack_from(data, offset + MARKER_BYTES)
    if length < _PAYLOAD.size or body + length > stop or zlib.crc32(data[body : body + length]) != crc:
        return None
    signal, collector, tenant_length, received_us, items = _PAYLOAD.unpack_from(data, body)
    split = body + _PAYLOAD.size + tenant_length
    record = RawRecord(
        signal=SIGNALS[signal],
        body=bytes(data[split : body + length]),
        received_us=received_us,
        tenant=bytes(data[body + _PAYLOAD.size : split]).decode(),
        collector=collector,
    )
    return Found(offset, FRAME_BYTES + length, items, record)


def _next_record(data: memoryview, marker: bytes, offset: int, stop: int) -> int:
    # Only damage leads here, so a copy of the rest is affordable; memoryview has no find.
    rest = bytes(data[offset:stop])
    at = rest.find(marker)
    while at >= 0:
        if _record_at(data, marker, offset + at, stop):
            return offset + at
        at = rest.find(marker, at + 1)
    return stop
