"""What came before is known until newer ones need the room."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_collector.recent import Recent

BATCHES = st.lists(st.lists(st.integers(0, 40), max_size=20), max_size=20)


def told(recent: Recent, batch: list[int]) -> list[bool]:
    hashes = np.array(batch, np.uint64)
    again = recent.seen(hashes)
    recent.add(hashes[~again])
    return [bool(each) for each in again]


@given(BATCHES)
def test_with_room_enough_it_knows_exactly_what_came_before(batches: list[list[int]]) -> None:
    recent, known = Recent(1_000), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number in known)
            known.add(number)
        assert told(recent, batch) == expected
    assert len(recent) == len(known)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(40, 200))
def test_it_stays_within_its_room_and_forgets_the_oldest_first(sizes: list[int], capacity: int) -> None:
    recent, come = Recent(capacity), 0
    for size in sizes:
        assert not any(told(recent, list(range(come, come + size))))
        come += size
        assert len(recent) <= capacity
    # A tenth of the room, or a batch, may go at a time; what is newer than that is known.
    kept = min(come, capacity - max(*sizes, capacity // 10))
    assert all(recent.seen(np.arange(come - kept, come, dtype=np.uint64)))
