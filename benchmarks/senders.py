"""Senders that remember what was acknowledged, and the check that all of it is stored, once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from benchmarks.bodies import Body
from benchmarks.connection import Connection
from benchmarks.load import Load

from spanhouse_storage.contract import Store

RETRY_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Check:
    """What became of the spans that were sent.

    Attributes:
        acknowledged: spans of requests answered 200.
        lost: of those, how many are not stored.
        doubled: spans that are read more than once.
        doubled_rows: rows too many, not merged away yet, of spans that no sender sent twice.
        sent_again: spans whose first request got no answer.
        refused: requests answered otherwise than 200.
    """

    acknowledged: int
    lost: int
    doubled: int
    doubled_rows: int
    sent_again: int
    refused: int


class Senders:
    """Threads that send until the block ends; a request without an answer is sent again until there is one.

    Args:
        port: of the server, on loopback.
        connections: that send.
        rate: spans a second over all of them.
        load: what they send.
    """

    def __init__(self, port: int, *, connections: int = 4, rate: float = 2000, load: Load | None = None) -> None:
        self._load = load or Load(body_spans=21)
        self._port, self._pace = port, rate / connections
        self._tape = self._load.tape()
        self._acknowledged: list[tuple[bytes, Body]] = []
        self._sent_again: list[tuple[bytes, Body]] = []
        self._refused = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(connections)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> int:
        """Spans acknowledged so far."""
        return sum(body.spans for _, body in tuple(self._acknowledged))

    @property
    def refused(self) -> int:
        """Requests answered otherwise than 200 so far."""
        return self._refused

    def wait_for(self, spans: int, timeout: float = 60) -> None:
        """Return once so many more spans are acknowledged.

        Raises:
            TimeoutError: they were not in the time given.
        """
        goal, deadline = self.acknowledged + spans, time.monotonic() + timeout
        while self.acknowledged < goal:
            if time.monotonic() > deadline:
                msg = f"{self.acknowledged} spans acknowledged after {timeout} s, {goal} were awaited"
                raise TimeoutError(msg)
            time.sleep(RETRY_SECONDS)

    def check(self, store: Store) -> Check:
        """Return what of the acknowledged is in the store, and how often."""
        rows = Counter(_stored(store, "spans"))
        read = Counter(_stored(store, "spans FINAL"))
        acknowledged = set(_identities(self._acknowledged))
        sent_again = set(_identities(self._sent_again))
        return Check(
            acknowledged=len(acknowledged),
            lost=len(acknowledged - read.keys()),
            doubled=sum(count - 1 for count in read.values()),
            doubled_rows=sum(count - 1 for span, count in rows.items() if span not in sent_again),
            sent_again=len(sent_again),
            refused=self._refused,
        )

    def _send(self, number: int) -> None:
        due = time.monotonic()
        with Connection(self._port, timeout=10) as connection:
            for key, body in self._endless(number):
                due = max(due + body.spans / self._pace, time.monotonic() - 1)
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                self._deliver(connection, key, body)

    def _endless(self, number: int) -> Iterator[tuple[bytes, Body]]:
        passes = 0
        while True:
            passes += 1
            for body in self._tape:
                yield f"faults:{number}:{passes}".encode(), body

    def _deliver(self, connection: Connection, key: bytes, body: Body) -> None:
        data = body.renewed(key)
        unanswered = False
        while True:
            try:
                status, wait = connection.post(data)
            except ConnectionError:
                if not unanswered:
                    unanswered = True
                    self._sent_again.append((key, body))
                wait = RETRY_SECONDS
            else:
                if status == HTTPStatus.OK:
                    self._acknowledged.append((key, body))
                    return
                self._refused += 1
                # Less patient than asked for, so that the fault meets many requests.
                wait = min(wait, LONGEST_WAIT_SECONDS) or RETRY_SECONDS
            if self._over.wait(wait):
                return


def _identities(sent: list[tuple[bytes, Body]]) -> Iterator[tuple[str, str]]:
    for key, body in sent:
        yield from body.identities(key)


def _stored(store: Store, table: str) -> Iterator[tuple[str, str]]:
    rows = store.query(f"SELECT trace_id, span_id FROM {table}")
    return zip(rows["trace_id"].to_pylist(), rows["span_id"].to_pylist(), strict=True)
