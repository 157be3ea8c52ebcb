"""The journal's file format under damage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_collector import segment
from spanhouse_collector.records import RawRecord
from spanhouse_collector.segment import Damage, Found

RECORDS = [
    RawRecord("traces", b"one", 1, "default", 0),
    RawRecord("logs", b"", 2, "größe", 255),
    RawRecord("traces", b"three" * 9, 2**63, "t", 7),
]


def written(records: list[RawRecord] = RECORDS) -> tuple[bytes, list[int]]:
    """A segment with the records, and the offsets at which each begins, and the end."""
    marker, data = segment.new_header()
    offsets = [len(data)]
    for items, record in enumerate(records):
        data += segment.encode(marker, record, items)
        offsets.append(len(data))
    return data, offsets


def found(data: bytes) -> list[RawRecord]:
    return [piece.record for piece in segment.scan(memoryview(data)) if isinstance(piece, Found)]


records = st.builds(
    RawRecord,
    st.sampled_from(["traces", "logs"]),
    st.binary(max_size=200),
    st.integers(0, 2**64 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(0, 255),
)


@given(st.lists(records, max_size=8))
def test_what_is_written_is_read_again(given_records: list[RawRecord]) -> None:
    data, offsets = written(given_records)
    pieces = list(segment.scan(memoryview(data)))
    assert [(p.offset, p.length, p.items, p.record) for p in pieces if isinstance(p, Found)] == [
        (start, end - start, items, record)
        for items, (record, (start, end)) in enumerate(zip(given_records, pairwise(offsets), strict=True))
    ]
    assert len(pieces) == len(given_records)


def test_a_length_is_known_before_writing() -> None:
    marker, _ = segment.new_header()
    for record in RECORDS:
        assert segment.encoded_length(record) == len(segment.encode(marker, record, 1))


def test_a_cut_at_any_byte_loses_only_the_records_it_cuts() -> None:
    data, offsets = written()
    for cut in range(len(data)):
        whole = sum(end <= cut for end in offsets[1:])
        assert found(data[:cut]) == RECORDS[:whole], cut


def test_a_flipped_byte_anywhere_loses_at_most_the_record_it_stands_in() -> None:
    data, offsets = written()
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        hit = [start <= at < end for start, end in pairwise(offsets)]
        assert found(damaged) == [r for r, is_hit in zip(RECORDS, hit, strict=True) if not is_hit], at
        stretches = [p for p in segment.scan(memoryview(damaged)) if isinstance(p, Damage)]
        assert [(p.offset, p.length) for p in stretches] == [
            (start, end - start) for (start, end), is_hit in zip(pairwise(offsets), hit, strict=True) if is_hit
        ]


@given(st.binary(max_size=300), st.integers(0, 3))
def test_garbage_between_records_hides_none_of_them(garbage: bytes, where: int) -> None:
    data, offsets = written()
    at = offsets[where]
    assert found(data[:at] + garbage + data[at:]) == RECORDS


def test_a_body_that_holds_another_segments_record_is_not_taken_for_one() -> None:
    inner, _ = written()
    data, offsets = written([RawRecord("traces", inner, 1)])
    damaged = bytearray(data)
    damaged[offsets[0] + segment.MARKER_BYTES] ^= 0xFF
    assert found(bytes(damaged)) == []


@given(st.binary(max_size=400))
def test_any_bytes_can_be_scanned(data: bytes) -> None:
    pieces = list(segment.scan(memoryview(data)))
    assert sum(piece.length for piece in pieces) == max(0, len(data) - segment.HEADER_BYTES)


@pytest.mark.parametrize("bounds", [(0, 1), (1, 3), (0, 3), (2, 2)])
def test_a_stretch_between_two_records_is_read_alone(bounds: tuple[int, int]) -> None:
    data, offsets = written()
    first, last = bounds
    pieces = segment.scan(memoryview(data), offsets[first], offsets[last])
    assert [p.record for p in pieces if isinstance(p, Found)] == RECORDS[first:last]
