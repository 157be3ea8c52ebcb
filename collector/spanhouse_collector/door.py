"""What every front does with an export request once its bytes are here: who sends, what it holds, is it durable."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from spanhouse.errors import SpanhouseError
from spanhouse_collector import intake
from spanhouse_collector.caller import Caller, CallerRefusedError, Identify, anyone
from spanhouse_collector.content import ContentError, TooLargeError
from spanhouse_collector.intake import Intake
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.pipeline import Pipeline
from spanhouse_collector.records import RawRecord, Signal
from spanhouse_collector.replies import Encoding
from spanhouse_collector.verdict import Verdict

MAX_BODY: Final = 64 << 20

_THREAD_BYTES: Final = 1 << 20
_THREAD_BYTES_COMPRESSED: Final = 64 << 10
"""Larger bodies are read in a thread: what they hold would keep the event loop busy for too long."""

_log = logging.getLogger(__name__)

_LARGE_AT_ONCE: Final = 2
"""Large bodies read at once: each may need a multiple of its size while it is taken apart."""

_HELD_BYTES: Final = 256 << 20
"""Bodies held in memory at once; beyond it senders are told to come back."""


class RefusedError(SpanhouseError):
    """A request is not taken.

    Attributes:
        status: as an HTTP status; `replies.code` gives the gRPC one.
        retry_after: seconds after which sending it again may work; None where it never will.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class Door:
    """Takes requests for a pipeline, from whichever protocol they come. For coroutines of one event loop.

    Args:
        pipeline: takes what is received; started and stopped by the caller.
        max_body: bytes a request may have, as sent and as decompressed.
        identify: says from the headers who sends.
        collector: this collector's number, 0 to 255, when several write to one store.
        now: nanoseconds since the epoch.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        max_body: int = MAX_BODY,
        identify: Identify = anyone,
        collector: int = 0,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.max_body, self.metrics = max_body, pipeline.metrics
        self.held_bytes = 0
        self._pipeline, self._identify, self._collector = pipeline, identify, collector
        self._clock = _ReceiveClock(now)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who sends, from the request's headers (names in lower case).

        Raises:
            RefusedError: they may not send.
        """
        try:
            return self._identify(headers)
        except CallerRefusedError as error:
            raise RefusedError(error.status, str(error), retry_after=error.retry_after) from error

    async def take(
        self, signal: Signal, encoding: Encoding, content_encoding: str, body: bytes, caller: Caller
    ) -> Verdict:
        """Return which records of a request were refused, once the others are durable.

        Raises:
            RefusedError: nothing was taken.
        """
        try:
            taken = await self._read(signal, encoding, content_encoding, body, caller)
        except RefusedError:
            # What cannot be read costs the reading all the same.
            caller.spend(0, len(body))
            raise
        verdict = taken.verdict
        caller.spend(verdict.accepted + len(verdict.rejections), taken.size)
        self.metrics.request_bytes.labels(signal).inc(taken.size)
        if verdict.accepted:
            record = RawRecord(signal, taken.body, self._clock(), caller.tenant, self._collector)
            try:
                await self._pipeline.submit(record, verdict.accepted)
            except JournalUnavailableError as error:
                raise RefusedError(503, str(error), retry_after=error.retry_after) from error
            self.metrics.accepted.labels(signal).inc(verdict.accepted)
        for reason, count in verdict.reasons.items():
            self.metrics.rejected.labels(signal, reason.value).inc(count)
        self._pipeline.refused(caller.tenant, signal, taken.refused, self._clock())
        return verdict

    async def _read(
        self, signal: Signal, encoding: Encoding, content_encoding: str, body: bytes, caller: Caller
    ) -> Intake:
        compressed = content_encoding.strip().lower() not in {"", "identity"}
        arguments = signal, encoding, content_encoding, body, self.max_body, caller
        try:
            if len(body) > (_THREAD_BYTES_COMPRESSED if compressed else _THREAD_BYTES):
                async with self._large:
                    return await asyncio.to_thread(intake.read, *arguments)
            return intake.read(*arguments)
        except TooLargeError as error:
            raise RefusedError(413, str(error)) from error
        except (ContentError, intake.UnreadableError) as error:
            raise RefusedError(400, str(error)) from error
        except Exception as error:
            # Told of a fault of ours in any other way, the sender would drop what was fine.
            _log.exception("a request of %d bytes for %s could not be read", len(body), signal)
            raise RefusedError(503, "the collector failed to read the request", retry_after=60) from error


class Held:
    """What one request holds of the memory that all bodies may take together, until the block ends."""

    def __init__(self, door: Door) -> None:
        self._door, self._bytes = door, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door.held_bytes -= self._bytes

    def add(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            RefusedError: all requests together hold too many.
        """
        if self._door.held_bytes + size > _HELD_BYTES:
            msg = f"the requests being read hold {_HELD_BYTES} bytes already: send again"
            raise RefusedError(429, msg, retry_after=1)
        self._door.held_bytes += size
        self._bytes += size


class _ReceiveClock:
    """Microseconds that only ever grow, so that of two versions of a span the later received wins."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now, self._last = now, 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, self._now() // 1000)
        return self._last
