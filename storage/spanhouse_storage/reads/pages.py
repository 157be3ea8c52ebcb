"""Pages of a list and the opaque cursors between them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from spanhouse_storage.contract import StorageError


class CursorError(StorageError):
    """A cursor is not one that this list gave out; ask for the first page again."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page; `next_cursor` is None on the last one."""

    rows: pa.Table
    next_cursor: str | None


def encode(kind: str, *position: int | str) -> str:
    """Return a cursor that continues the list `kind` after `position`."""
    text = json.dumps([kind, *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, types: Sequence[type]) -> list[int | str]:
    """Return the position that `encode` was given.

    Raises:
        CursorError: the text is no cursor, or one of another list or order.
    """
    try:
        found, *position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise _refused(cursor) from error
    if found != kind or [type(value) for value in position] != list(types):
        raise _refused(cursor)
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in position):
        raise _refused(cursor)
    return list(position)


def _refused(cursor: str) -> CursorError:
    return CursorError(f"cursor {cursor[:80]!r} does not continue this list: leave it out to start at the first page")
