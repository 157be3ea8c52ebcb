"""Raw attributes read once: most attributes of a stream repeat byte for byte, so their bytes are the memo's key."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
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

# Protobuf's tags of a length-delimited field 1 and of field 2, and the bit that says a varint goes on.
_FIELD_1: Final = 0x0A
_FIELD_2: Final = 0x12
_MORE: Final = 0x80

_MEMO_BYTES: Final = 160
_MEMO_ENTRIES: Final = 30_000
_MAX_KEYS: Final = 20_000


class Attributes:
    """Reads raw attributes, with a bounded memory of those met.

    Attributes:
        cut: entries whose text was cut at ``MAX_TEXT`` since the list was last emptied.
    """

    def __init__(self) -> None:
        self.cut: list[Entry] = []
        self._memo = _Memo(self.cut)

    def entries(self, raws: Sequence[bytes]) -> list[Entry]:
        """Return the entries of a record's raw attributes, in their order; never raises."""
        # A slice copies a repeated field in one go, where a loop would ask it for one value after another.
        return list(map(self._memo.__getitem__, raws[:]))


class _Memo(dict[bytes, Entry]):
    """Entries by their raw bytes: what is not in it is read, and remembered where it is short."""

    def __init__(self, cut: list[Entry]) -> None:
        super().__init__()
        self._cut = cut
        self._keys: dict[bytes, str] = {}

    def __missing__(self, raw: bytes) -> Entry:
        entry = self._string(raw) or _any(raw)
        if len(entry[2]) > MAX_TEXT:
            text = entry[2][:MAX_TEXT]
            entry = (entry[0], text, text)
            self._cut.append(entry)
        if len(raw) <= _MEMO_BYTES:
            if len(self) >= _MEMO_ENTRIES:
                self.clear()
            self[raw] = entry
        return entry

    def _string(self, raw: bytes) -> Entry | None:
        # The wire form of a short key and one string, read by hand: ten times as fast as by messages, and strings that
        # never repeat (texts, ids) are what is left once the memo has the rest.
        if len(raw) <= 1:
            return None
        at = 2 + raw[1]
        head = _head(len(raw) - at)
        if not head or not raw.startswith(head, at):
            return None
        try:
            key = self._keys.get(raw[:at]) or self._key(raw[:at])
            value = raw[at + len(head) :].decode()
        except UnicodeDecodeError:
            return None
        return None if key is None else (key, value, value)

    def _key(self, field: bytes) -> str | None:
        if field[0] != _FIELD_1 or field[1] >= _MORE:
            return None
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        key = self._keys[field] = field[2:].decode()
        return key


@lru_cache(maxsize=20_000)
def _head(size: int) -> bytes:
    """Return what stands before the text where a KeyValue's value is one string and takes that many bytes in all.

    Empty where no string makes a value of that size. The length decides every byte, so one comparison reads them all.
    """
    # The two tags and the two lengths take 4 to 12 bytes.
    for spent in range(4, 13):
        text = size - spent
        if text >= 0:
            inner = bytes([_FIELD_1]) + _varint(text)
            head = bytes([_FIELD_2]) + _varint(len(inner) + text) + inner
            if len(head) + text == size:
                return head
    return b""


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= _MORE:
        found.append(number & 0x7F | _MORE)
        number >>= 7
    found.append(number)
    return bytes(found)


def _any(raw: bytes) -> Entry:
    try:
        key, value = wire.key_value(raw)
    except wire.DecodeError:
        text = base64.b64encode(raw).decode()
        return UNREADABLE, text, text
    return key, value, as_text(value)
