"""Raw attributes read once: most attributes of a stream repeat byte for byte, so their bytes are the memo's key."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final, TypeAlias

from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import as_text
from spanhouse_collector.wire import Value

Entry: TypeAlias = tuple[str, Value, str]
"""Key, value as sent, and the value's text."""

UNREADABLE: Final = "spanhouse.unreadable_attribute"
"""Key under which an attribute that is no KeyValue is kept, in base64."""
MAX_TEXT: Final = 4_000_000
"""Characters of one attribute's text that are kept."""

# Protobuf's tag of a length-delimited field 1 and of field 2, and the bit that says a varint goes on.
_FIELD_1: Final = 0x0A
_FIELD_2: Final = 0x12
_MORE: Final = 0x80

_MEMO_BYTES: Final = 160
_MEMO_ENTRIES: Final = 100_000
_MAX_KEYS: Final = 20_000


class Attributes:
    """Reads raw attributes, with a bounded memory of those met.

    Attributes:
        cut: entries whose text was cut at ``MAX_TEXT`` since the list was last emptied.
    """

    def __init__(self) -> None:
        self._memo: dict[bytes, Entry] = {}
        self._keys: dict[bytes, str] = {}
        self.cut: list[Entry] = []

    def entries(self, raws: Iterable[bytes]) -> list[Entry]:
        """Return the entries of a record's raw attributes, in their order; never raises."""
        known, read = self._memo.get, self._read
        return [known(raw) or read(raw) for raw in raws]

    def _read(self, raw: bytes) -> Entry:
        entry = self._string(raw) or _any(raw)
        if len(entry[2]) > MAX_TEXT:
            text = entry[2][:MAX_TEXT]
            entry = (entry[0], text, text)
            self.cut.append(entry)
        if len(raw) <= _MEMO_BYTES:
            if len(self._memo) >= _MEMO_ENTRIES:
                self._memo.clear()
            self._memo[raw] = entry
        return entry

    def _string(self, raw: bytes) -> Entry | None:
        # The wire form of a short key and one string, read by hand: five times as fast as by messages, and strings
        # that never repeat (texts, ids) are what is left once the memo has the rest.
        try:
            at = 2 + raw[1]
            if raw[0] != _FIELD_1 or raw[1] >= _MORE or raw[at] != _FIELD_2:
                return None
            size, start = _varint(raw, at + 1)
            if start + size != len(raw) or raw[start] != _FIELD_1:
                return None
            size, start = _varint(raw, start + 1)
            if start + size != len(raw):
                return None
            key_bytes = raw[2:at]
            key = self._keys.get(key_bytes)
            if key is None:
                if len(self._keys) >= _MAX_KEYS:
                    self._keys.clear()
                key = self._keys[key_bytes] = key_bytes.decode()
            value = raw[start:].decode()
        except (IndexError, UnicodeDecodeError):
            return None
        return key, value, value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = raw[at]
    if value < _MORE:
        return value, at + 1
    value &= 0x7F
    shift = 7
    while True:
        at += 1
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, at + 1
        shift += 7


def _any(raw: bytes) -> Entry:
    try:
        key, value = wire.key_value(raw)
    except wire.DecodeError:
        text = base64.b64encode(raw).decode()
        return UNREADABLE, text, text
    return key, value, as_text(value)
