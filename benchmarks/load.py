"""A load generator for OTLP over HTTP: kept connections in one or several processes, at full speed or at a pace.

Every connection plays the same tape of bodies again and again, each time with new trace ids. A pass once begun is
finished, if the server takes it in time, so that every run has its root.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus

from benchmarks.bodies import Body, bodies
from benchmarks.connection import Connection

RETRYABLE = frozenset({429, 502, 503, 504})
ANSWER_SECONDS = 30.0
GRACE_SECONDS = 5.0
"""To finish a pass in; a server slower than that keeps runs without roots."""


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        body_spans: spans a body.
        tape_spans: spans after which a connection begins again.
        spread: runs start within this time before now.
        path: of the requests.
        headers: of the requests, as pairs.
    """

    body_spans: int = 168
    tape_spans: int = 2016
    spread: timedelta = timedelta(minutes=5)
    path: str = "/v1/traces"
    headers: tuple[tuple[str, str], ...] = ()

    def tape(self) -> list[Body]:
        """Return the bodies."""
        return _tape(max(1, self.tape_spans // self.body_spans), self.body_spans, self.spread)


@dataclass
class Result:
    """What was acknowledged, and how fast.

    Attributes:
        acknowledged: spans of requests answered 200.
        failed: spans of requests answered otherwise, each try counted.
        cut: connections that broke; they sent nothing more.
        seconds: from the first request to the last answer.
        latencies: seconds from when a request was due to its answer; at full speed it is due once the last one ended.
    """

    acknowledged: int = 0
    failed: int = 0
    cut: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Spans acknowledged a second."""
        return self.acknowledged / self.seconds

    def add(self, other: Result) -> None:
        """Take in what another connection or process did at the same time."""
        self.acknowledged += other.acknowledged
        self.failed += other.failed
        self.cut += other.cut
        self.seconds = max(self.seconds, other.seconds)
        self.latencies += other.latencies


def send(
    port: int,
    load: Load,
    *,
    seconds: float,
    connections: int = 6,
    processes: int = 1,
    rate: float | None = None,
    seed: int = 7,
) -> Result:
    """Send for so many seconds and return what was acknowledged.

    Args:
        port: of the server on loopback.
        load: what to send.
        seconds: how long; the last pass over the tape is finished.
        connections: keep-alive connections, each on a thread.
        processes: that share the connections; more than one where a single one could not send as much.
        rate: spans a second over all connections; None for as fast as it goes.
        seed: of the trace ids.
    """
    parts = [list(range(connections))[number::processes] for number in range(processes)]
    pace = rate / connections if rate else None
    if processes == 1:
        return _connections(port, load, seconds, parts[0], connections, pace, seed)
    result = Result()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(Load.tape, [load] * processes))
        for future in [pool.submit(_connections, port, load, seconds, part, connections, pace, seed) for part in parts]:
            result.add(future.result())
    return result


def quantile(values: Sequence[float], q: float) -> float:
    """Return a quantile by linear interpolation between ranks; NaN for no values."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


@lru_cache(maxsize=4)
def _tape(count: int, body_spans: int, spread: timedelta) -> list[Body]:
    return bodies(count, body_spans, spread=spread)


def _connections(
    port: int, load: Load, seconds: float, numbers: Sequence[int], of: int, pace: float | None, seed: int
) -> Result:
    tape = load.tape()
    result = Result()
    lock = threading.Lock()
    begin = time.perf_counter()

    def work(number: int) -> None:
        key = f"{seed}:{number}"
        # Connections take turns, as so many independent senders would.
        due = begin + number / of * (tape[0].spans / pace) if pace else None
        own = _play(port, load, tape, key, begin + seconds, due, pace)
        own.seconds = time.perf_counter() - begin
        with lock:
            result.add(own)

    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return result


def _play(
    port: int, load: Load, tape: Sequence[Body], key: str, until: float, due: float | None, pace: float | None
) -> Result:
    result = Result()
    number = 0
    with Connection(port, load.path, headers=dict(load.headers), timeout=ANSWER_SECONDS) as connection:
        while time.perf_counter() < until:
            number += 1
            for body in tape:
                if time.perf_counter() > until + GRACE_SECONDS:
                    return result
                data = body.renewed(f"{key}:{number}".encode())
                if due is not None and pace:
                    time.sleep(max(0.0, due - time.perf_counter()))
                started = time.perf_counter() if due is None else due
                try:
                    taken = _post(connection, data, body.spans, result, until)
                except ConnectionError:
                    result.cut += 1
                    return result
                if not taken:
                    return result
                result.latencies.append(time.perf_counter() - started)
                if due is not None and pace:
                    due += body.spans / pace
    return result


def _post(connection: Connection, data: bytearray, spans: int, result: Result, until: float) -> bool:
    """Send as exporters do: again where the server says so. False where the time is over before it was taken."""
    while True:
        status, wait = connection.post(data)
        if status == HTTPStatus.OK:
            result.acknowledged += spans
            return True
        result.failed += spans
        if status not in RETRYABLE:
            return True
        if time.perf_counter() + wait >= until:
            return False
        time.sleep(wait or 0.1)
