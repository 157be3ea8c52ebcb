"""The OTLP/HTTP front door: POST /v1/traces and /v1/logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from spanhouse_collector import intake, replies
from spanhouse_collector.caller import CallerRefusedError, Identify, anyone
from spanhouse_collector.content import ContentError, TooLargeError
from spanhouse_collector.intake import Intake
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.pipeline import Pipeline
from spanhouse_collector.records import SIGNALS, RawRecord, Signal
from spanhouse_collector.replies import Encoding, Reply

MAX_BODY: Final = 64 << 20
READ_SECONDS: Final = 30.0

_THREAD_BYTES: Final = 1 << 20
_THREAD_BYTES_COMPRESSED: Final = 64 << 10
"""Larger bodies are read in a thread: what they hold would keep the event loop busy for too long."""

_HELD_BYTES: Final = 256 << 20
"""Bodies held in memory at once; beyond it senders are told to come back."""


def otlp_router(
    pipeline: Pipeline,
    *,
    max_body: int = MAX_BODY,
    identify: Identify = anyone,
    collector: int = 0,
    now: Callable[[], int] = time.time_ns,
) -> APIRouter:
    """Return the routes of OTLP/HTTP, for `app.include_router`.

    Args:
        pipeline: takes what is received; started and stopped by the caller.
        max_body: bytes a request may have, as sent and as decompressed.
        identify: says from the headers who sends.
        collector: this collector's number, 0 to 255, when several write to one store.
        now: nanoseconds since the epoch.
    """
    door = _Door(pipeline, max_body, identify, collector, _ReceiveClock(now))
    # An endpoint answers every method itself, as its errors have to be in OTLP's form.
    return APIRouter(
        routes=[
            Route(path, _Endpoint(signal, door), include_in_schema=False)
            for signal in SIGNALS
            for path in (f"/v1/{signal}", f"/v1/{signal}/")
        ]
    )


class _ReceiveClock:
    """Microseconds that only ever grow, so that of two versions of a span the later received wins."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now, self._last = now, 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, self._now() // 1000)
        return self._last


class _Door:
    """What both endpoints share."""

    def __init__(
        self, pipeline: Pipeline, max_body: int, identify: Identify, collector: int, clock: Callable[[], int]
    ) -> None:
        self.pipeline, self.max_body, self.identify = pipeline, max_body, identify
        self.collector, self.clock = collector, clock
        self.held_bytes = 0


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


class _Endpoint:
    """One signal's ASGI application; it answers every method and every failure in OTLP's form."""

    def __init__(self, signal: Signal, door: _Door) -> None:
        self._signal, self._door = signal, door
        self._metrics = door.pipeline.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        encoding = _encoding(request.headers.get("content-type", ""))
        try:
            reply = await self._answer(request, encoding)
        except _RefusedError as refusal:
            reply = replies.refused(refusal.status, refusal.message, encoding or Encoding.PROTOBUF, refusal.headers)
        except ClientDisconnect:
            # Nobody listens any more, and nothing was taken.
            return
        self._metrics.requests.labels(self._signal, reply.status).inc()
        response = Response(reply.body, reply.status, reply.headers, reply.encoding.value)
        await response(scope, receive, send)

    async def _answer(self, request: Request, encoding: Encoding | None) -> Reply:
        if request.method != "POST":
            msg = f"{request.method} is not known here: export requests are sent by POST"
            raise _RefusedError(405, msg, {"Allow": "POST"})
        if encoding is None:
            kinds = " or ".join(kind.value for kind in Encoding)
            msg = f"Content-Type {request.headers.get('content-type', '')!r} is not known: send {kinds}"
            raise _RefusedError(415, msg)
        try:
            caller = self._door.identify(request.headers)
        except CallerRefusedError as error:
            raise _RefusedError(error.status, str(error)) from error
        held = _Held(self._door)
        try:
            body = await self._body(request, held)
            taken = await self._read(body, encoding, request.headers.get("content-encoding", ""))
            return await self._submit(taken, encoding, caller.tenant)
        finally:
            held.release()

    async def _body(self, request: Request, held: _Held) -> bytes:
        limit = self._door.max_body
        too_large = f"the body is larger than {limit} bytes: send less at a time"
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _RefusedError(413, too_large)
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for piece in request.stream():
                    pieces.append(piece)
                    size += len(piece)
                    held.add(len(piece))
                    if size > limit:
                        raise _RefusedError(413, too_large)
        except TimeoutError:
            msg = f"the body had not come after {READ_SECONDS:g} s"
            raise _RefusedError(408, msg) from None
        return b"".join(pieces)

    async def _read(self, body: bytes, encoding: Encoding, content_encoding: str) -> Intake:
        compressed = content_encoding.strip().lower() not in {"", "identity"}
        arguments = self._signal, encoding, content_encoding, body, self._door.max_body
        try:
            if len(body) > (_THREAD_BYTES_COMPRESSED if compressed else _THREAD_BYTES):
                return await asyncio.to_thread(intake.read, *arguments)
            return intake.read(*arguments)
        except TooLargeError as error:
            raise _RefusedError(413, str(error)) from error
        except (ContentError, intake.UnreadableError) as error:
            raise _RefusedError(400, str(error)) from error

    async def _submit(self, taken: Intake, encoding: Encoding, tenant: str) -> Reply:
        signal, verdict = self._signal, taken.verdict
        self._metrics.request_bytes.labels(signal).inc(taken.size)
        if verdict.accepted:
            record = RawRecord(signal, taken.body, self._door.clock(), tenant, self._door.collector)
            try:
                await self._door.pipeline.submit(record, verdict.accepted)
            except JournalUnavailableError as error:
                raise _RefusedError(503, str(error), {"Retry-After": str(error.retry_after)}) from error
            self._metrics.accepted.labels(signal).inc(verdict.accepted)
        for reason, count in verdict.reasons.items():
            self._metrics.rejected.labels(signal, reason.value).inc(count)
        return replies.taken(signal, encoding, len(verdict.rejections), verdict.message)


class _Held:
    """What one request holds of the memory that all bodies may take together."""

    def __init__(self, door: _Door) -> None:
        self._door, self._bytes = door, 0

    def add(self, size: int) -> None:
        if self._door.held_bytes + size > _HELD_BYTES:
            msg = f"the requests being read hold {_HELD_BYTES} bytes already: send again"
            raise _RefusedError(503, msg, {"Retry-After": "1"})
        self._door.held_bytes += size
        self._bytes += size

    def release(self) -> None:
        self._door.held_bytes -= self._bytes


def _encoding(content_type: str) -> Encoding | None:
    media_type = content_type.partition(";")[0].strip().lower()
    return next((encoding for encoding in Encoding if encoding.value == media_type), None)
