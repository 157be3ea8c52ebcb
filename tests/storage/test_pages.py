"""Cursors carry their position exactly, and only ours are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_storage.reads import CursorError
from spanhouse_storage.reads.pages import decode, encode


@given(st.text(), st.integers(-(2**63), 2**63 - 1), st.text())
def test_a_cursor_carries_its_position(kind: str, key: int, run_id: str) -> None:
    cursor = encode(kind, key, run_id)
    assert decode(kind, cursor, (int, str)) == [key, run_id]
    assert cursor.isascii()
    assert "=" not in cursor


@given(st.text())
def test_any_other_text_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError):
        decode("runs", cursor, (int, str))


@pytest.mark.parametrize("position", [("a", "b"), (1,), (1, "a", 2), (True, "a"), (1.5, "a")])
def test_a_position_of_other_types_is_refused(position: tuple[int | str, ...]) -> None:
    with pytest.raises(CursorError):
        decode("runs", encode("runs", *position), (int, str))
