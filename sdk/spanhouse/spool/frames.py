"""The frames that a spool file is made of: each tells its length and checksum, so that a torn one is seen."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

HEADER: Final = 0
"""What the file's audit events have in common; the first frame of such a file."""
BODY: Final = 1
"""An OTLP request body."""
EVENT: Final = 2
"""One audit event; see ``spanhouse.spool.events``."""

_MAGIC: Final = b"\xf5SH"
_HEAD: Final = struct.Struct("<3sBIII")
"""Magic, kind, records, length of the payload, CRC-32 of all that."""
_FIELDS: Final = struct.Struct("<BII")
HEAD_SIZE: Final = _HEAD.size


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame.

    Attributes:
        kind: HEADER, BODY or EVENT.
        records: how many spans or log records the payload holds.
        start, end: where the frame stands in the file.
        payload: what it carries.
    """

    kind: int
    records: int
    start: int
    end: int
    payload: bytes


def pack(kind: int, payload: bytes, records: int = 1) -> bytes:
    """Return a frame, to be written with one call."""
    length = len(payload)
    return _HEAD.pack(_MAGIC, kind, records, length, _checksum(kind, records, payload)) + payload


def unpack(data: bytes, offset: int = 0) -> tuple[list[Frame], int]:
    """Return the whole frames in ``data`` and how many damaged places lie between or after them.

    Never raises for what the bytes are: behind a damaged place the search goes on for the next whole frame.

    Args:
        data: a file, or the part of one that begins with a frame.
        offset: where in the file ``data`` begins.
    """
    found: list[Frame] = []
    damaged = place = 0
    while place < len(data):
        frame = _frame_at(data, place, offset)
        if frame is not None:
            found.append(frame)
            place = frame.end - offset
            continue
        damaged += 1
        place += 1
        while (place := data.find(_MAGIC, place)) >= 0 and _frame_at(data, place, offset) is None:
            place += 1
        if place < 0:
            break
    return found, damaged


def _frame_at(data: bytes, place: int, offset: int) -> Frame | None:
    if len(data) - place < HEAD_SIZE:
        return None
    magic, kind, records, length, checksum = _HEAD.unpack_from(data, place)
    start = place + HEAD_SIZE
    if magic != _MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    if _checksum(kind, records, payload) != checksum:
        return None
    return Frame(kind, records, offset + place, offset + start + length, payload)


def _checksum(kind: int, records: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_FIELDS.pack(kind, records, len(payload))))
