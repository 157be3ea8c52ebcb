"""Every record is acknowledged or counted: nothing is lost in silence."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanhouse import notices
from spanhouse.bodies import Halves
from spanhouse.delivery import Counts, Delivery, Limits
from spanhouse.outbox import InMemory
from spanhouse.transport import Answer, Verdict

QUICK = Limits(linger=0.001, first_backoff=0.001, longest_backoff=0.002, batch_records=4)


class FarEnd:
    """Answers as told, then takes everything; keeps what it took."""

    def __init__(
        self, answers: Sequence[Answer] = (), refuse: Callable[[list[str]], Answer | None] | None = None
    ) -> None:
        self.taken: list[str] = []
        self.posts = 0
        self._answers = list(answers)
        self._refuse = refuse or (lambda _: None)

    def send(self, body: bytes) -> Answer:
        """Take one body."""
        self.posts += 1
        records = body.decode().split(",")
        answer = self._answers.pop(0) if self._answers else self._refuse(records) or Answer(Verdict.TAKEN)
        if answer.verdict is Verdict.TAKEN:
            self.taken.extend(records[answer.rejected :])
        return answer


def encode(batch: Sequence[str]) -> bytes:
    """Join the records; "poison" cannot be encoded."""
    if "poison" in batch:
        raise ValueError("no such character")  # noqa: EM101, TRY003 - as a codec would
    return ",".join(batch).encode()


def halve(body: bytes) -> Halves | None:
    """Cut the joined records in two."""
    records = body.decode().split(",")
    middle = len(records) // 2
    first, second = records[:middle], records[middle:]
    return ((len(first), encode(first)), (len(second), encode(second))) if middle else None


def delivery(far_end: FarEnd, limits: Limits = QUICK) -> Delivery[str]:
    """Return a delivery to this far end."""
    return Delivery("records", keep=InMemory(encode), send=far_end.send, size=len, halve=halve, limits=limits)


def test_records_arrive_in_order_and_are_counted() -> None:
    """Batches are cut to size, order is kept, and flush says that all is there."""
    far_end = FarEnd()
    queue = delivery(far_end)
    records = [str(number) for number in range(11)]
    for record in records:
        queue.put(record)
    assert queue.flush(5)
    assert far_end.taken == records
    assert queue.counts() == Counts(acknowledged=11)
    assert queue.close(5)


def test_a_batch_stays_until_the_server_takes_it() -> None:
    """An outage costs time, not records: each is stored once."""
    far_end = FarEnd([Answer(Verdict.RETRY, reason="503")] * 5)
    queue = delivery(far_end)
    queue.put("a")
    queue.put("b")
    assert queue.flush(5)
    assert far_end.taken == ["a", "b"]
    assert queue.counts() == Counts(acknowledged=2)


def test_flush_tells_that_records_still_wait() -> None:
    """A deadline that passes is no loss yet: the records go on waiting, and arrive when the server is back."""
    down = threading.Event()
    down.set()
    far_end = FarEnd(refuse=lambda _: Answer(Verdict.RETRY) if down.is_set() else None)
    queue = delivery(far_end)
    queue.put("a")
    assert not queue.flush(0.02)
    assert queue.counts() == Counts(waiting=1)
    down.clear()
    assert queue.flush(5)
    assert queue.counts() == Counts(acknowledged=1)


def test_refusal_for_good_is_counted_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A wrong key must not block the queue, and must not go unseen."""
    notices.forget()
    far_end = FarEnd([Answer(Verdict.REFUSED, reason="401 Unauthorized")])
    queue = delivery(far_end)
    with caplog.at_level(logging.WARNING, "spanhouse"):
        queue.put("a")
        assert not queue.flush(5)
    queue.put("b")
    assert queue.flush(5)
    assert queue.counts() == Counts(acknowledged=1, lost=1)
    assert "401 Unauthorized" in caplog.text


def test_a_sender_that_raises_costs_one_batch() -> None:
    """The worker lives on: an error nobody thought of must not stop all telemetry after it."""

    def explode(records: list[str]) -> Answer | None:
        if records == ["a"]:
            raise RuntimeError
        return None

    far_end = FarEnd(refuse=explode)
    queue = delivery(far_end)
    queue.put("a")
    assert not queue.flush(5)
    queue.put("b")
    assert queue.flush(5)
    assert queue.counts() == Counts(acknowledged=1, lost=1)


def test_partial_success_is_counted_as_rejected() -> None:
    """The server took the batch but for one record: that one is not acknowledged."""
    far_end = FarEnd([Answer(Verdict.TAKEN, rejected=1, reason="span id is zero")])
    queue = delivery(far_end)
    for record in "abc":
        queue.put(record)
    assert not queue.flush(5)
    assert queue.counts() == Counts(acknowledged=2, rejected=1)


def test_too_large_a_batch_is_cut_in_halves() -> None:
    """413 is about the request, not the records: only one too large by itself is lost."""
    far_end = FarEnd(refuse=lambda records: Answer(Verdict.SPLIT, reason="413") if len(",".join(records)) > 5 else None)
    queue = delivery(far_end)
    for record in ("aa", "bb", "much too large", "cc"):
        queue.put(record)
    assert not queue.flush(5)
    assert far_end.taken == ["aa", "bb", "cc"]
    assert queue.counts() == Counts(acknowledged=3, lost=1)


def test_a_record_that_cannot_be_encoded_is_lost_alone() -> None:
    """One odd value must not cost its neighbours."""
    far_end = FarEnd()
    queue = delivery(far_end)
    for record in ("a", "poison", "b", "c"):
        queue.put(record)
    assert not queue.flush(5)
    assert far_end.taken == ["a", "b", "c"]
    assert queue.counts() == Counts(acknowledged=3, lost=1)


@pytest.mark.parametrize("limits", [Limits(records=3, linger=60), Limits(size=3, linger=60)])
def test_a_full_queue_loses_the_oldest_and_says_so(limits: Limits) -> None:
    """Memory is bounded by count and by bytes; the newest records, which hold the outcome, stay."""
    far_end = FarEnd()
    queue = delivery(far_end, limits)
    for record in "abcde":
        queue.put(record)
    assert not queue.flush(5)
    assert far_end.taken == ["c", "d", "e"]
    assert queue.counts() == Counts(acknowledged=3, lost=2)


def test_what_cannot_be_sent_before_shutdown_is_counted() -> None:
    """The last counts add up, also for records that come after the end."""
    far_end = FarEnd(refuse=lambda _: Answer(Verdict.RETRY))
    queue = delivery(far_end)
    queue.put("a")
    queue.put("b")
    assert not queue.close(0.01)
    queue.put("c")
    assert queue.counts() == Counts(lost=3)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["ok", "poison"]), max_size=12),
    st.lists(
        st.sampled_from(
            [
                Answer(Verdict.RETRY),
                Answer(Verdict.REFUSED),
                Answer(Verdict.SPLIT),
                Answer(Verdict.TAKEN),
                Answer(Verdict.TAKEN, rejected=1),
            ]
        ),
        max_size=8,
    ),
)
def test_the_counts_always_add_up(records: list[str], answers: list[Answer]) -> None:
    """Whatever the server says, every record put ends in exactly one count."""
    queue = delivery(FarEnd(answers))
    for record in records:
        queue.put(record)
    queue.flush(5)
    counts = queue.counts()
    assert counts.waiting == 0
    assert counts.acknowledged + counts.rejected + counts.lost == len(records)
    queue.close(1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_sends_its_own_records_only() -> None:
    """The parent keeps what it holds; the child starts empty, with a worker of its own."""
    far_end = FarEnd()
    queue = delivery(far_end, Limits(linger=60))
    queue.put("parent")
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)

    def child() -> None:
        queue.put("child")
        writing.send((queue.flush(5), far_end.taken))

    process = context.Process(target=child)
    process.start()
    assert reading.recv() == (True, ["child"])
    process.join()
    assert queue.flush(5)
    assert far_end.taken == ["parent"]
