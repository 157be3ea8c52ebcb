"""When a batch is due, and what is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_collector.batching import BatchLimits, Pending
from spanhouse_collector.segment import Entry, Position

LIMITS = BatchLimits(items=100, bytes=1_000, linger=1.0, small_linger=0.25, few=10)


def entries(*sizes: tuple[int, int]) -> list[Entry]:
    made, offset = [], 0
    for length, items in sizes:
        made.append(Entry(Position(1, offset), length, items, 0))
        offset += length
    return made


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], None),
        ([(10, 1)], 0.25),
        ([(10, 9)], 0.25),
        ([(10, 10)], 1.0),
        ([(10, 100)], 0.0),
        ([(10, 50), (10, 50)], 0.0),
        ([(1_000, 1)], 0.0),
    ],
)
def test_few_records_wait_shortly_many_longer_and_a_full_batch_not_at_all(
    sizes: list[tuple[int, int]], expected: float | None
) -> None:
    pending = Pending(LIMITS)
    pending.add(entries(*sizes), now=5.0)
    assert pending.wait(5.0) == expected
    assert pending.wait(99.0) == (None if expected is None else 0.0)


def test_waiting_counts_from_the_oldest_record() -> None:
    pending = Pending(LIMITS)
    pending.add(entries((10, 1)), now=5.0)
    pending.add(entries((10, 1)), now=5.2)
    assert pending.wait(5.2) == pytest.approx(0.05)


sizes = st.lists(st.tuples(st.integers(1, 2_000), st.integers(1, 300)), max_size=30)


@given(sizes)
def test_batches_hold_every_record_once_in_order_and_keep_to_the_limits(given_sizes: list[tuple[int, int]]) -> None:
    pending = Pending(LIMITS)
    all_entries = entries(*given_sizes)
    pending.add(all_entries, now=0.0)
    taken: list[Entry] = []
    while len(pending):
        batch = pending.take()
        assert batch
        assert len(batch) == 1 or (sum(e.items for e in batch) <= 100 and sum(e.length for e in batch) <= 1_000)
        taken += batch
    assert taken == all_entries
    assert (pending.items, pending.bytes, pending.oldest()) == (0, 0, None)


@given(sizes, st.integers(0, 30))
def test_a_batch_cut_earlier_is_taken_again_exactly(given_sizes: list[tuple[int, int]], count: int) -> None:
    all_entries = entries(*given_sizes)
    head, tail = all_entries[:count], all_entries[count:]
    pending = Pending(LIMITS)
    pending.add(all_entries, now=0.0)
    assert pending.take_until(head[-1].end if head else Position(0, 0)) == head
    assert pending.items == sum(e.items for e in tail)
