"""The OTLP/HTTP front: POST /v1/traces, /v1/logs and /v1/metrics."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from spanhouse_collector import replies
from spanhouse_collector.door import Door, Held, RefusedError
from spanhouse_collector.records import SIGNALS, Signal
from spanhouse_collector.replies import Encoding, Reply

READ_SECONDS: Final = 30.0
_READS: Final = 10
"""A body that comes all the same, but slowly, may take so many times as long in all."""
BASE_PATHS: Final = ("", "/api/public/otel")
"""Clients append `/v1/traces` to the base address they are given; the second is what Langfuse's clients are set to."""


def otlp_router(door: Door, *, read_seconds: float = READ_SECONDS) -> APIRouter:
    """Return the routes of OTLP/HTTP, for `app.include_router`.

    Args:
        door: takes what is received.
        read_seconds: time between two pieces of a body; in all it may take ten times as long.
    """
    # An endpoint answers every method itself, as its errors have to be in OTLP's form.
    return APIRouter(
        routes=[
            Route(f"{base}/v1/{signal}{slash}", _Endpoint(signal, door, read_seconds), include_in_schema=False)
            for signal in SIGNALS
            for base in BASE_PATHS
            for slash in ("", "/")
        ]
    )


class _Endpoint:
    """One signal's ASGI application; it answers every method and every failure in OTLP's form."""

    def __init__(self, signal: Signal, door: Door, read_seconds: float) -> None:
        self._signal, self._door, self._read_seconds = signal, door, read_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        encoding = _encoding(request.headers.get("content-type", ""))
        try:
            reply = await self._answer(request, encoding)
        except RefusedError as refusal:
            reply = replies.refused(refusal.status, str(refusal), encoding or Encoding.PROTOBUF, refusal.retry_after)
        except ClientDisconnect:
            # Nobody listens any more, and nothing was taken.
            return
        self._door.metrics.requests.labels(self._signal, reply.status).inc()
        response = Response(reply.body, reply.status, reply.headers, reply.encoding.value)
        await response(scope, receive, send)

    async def _answer(self, request: Request, encoding: Encoding | None) -> Reply:
        if request.method != "POST":
            raise RefusedError(405, f"{request.method} is not known here: export requests are sent by POST")
        if encoding is None:
            kinds = " or ".join(kind.value for kind in Encoding)
            msg = f"Content-Type {request.headers.get('content-type', '')!r} is not known: send {kinds}"
            raise RefusedError(415, msg)
        caller = self._door.caller(request.headers)
        with Held(self._door) as held:
            body = await self._body(request, held)
            coding = request.headers.get("content-encoding", "")
            verdict = await self._door.take(self._signal, encoding, coding, body, caller)
            return replies.taken(self._signal, encoding, len(verdict.rejections), verdict.message)

    async def _body(self, request: Request, held: Held) -> bytes:
        limit = self._door.max_body
        too_large = f"the body is larger than {limit} bytes: send less at a time"
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise RefusedError(413, too_large)
        pieces: list[bytes] = []
        size = 0
        loop = asyncio.get_running_loop()
        last = loop.time() + _READS * self._read_seconds
        try:
            async with asyncio.timeout(self._read_seconds) as patience:
                async for piece in request.stream():
                    pieces.append(piece)
                    size += len(piece)
                    held.add(len(piece))
                    if size > limit:
                        raise RefusedError(413, too_large)
                    patience.reschedule(min(last, loop.time() + self._read_seconds))
        except TimeoutError:
            total = f" of {declared}" if declared else ""
            msg = f"the body stopped after {size}{total} bytes: send it faster, or less at a time"
            raise RefusedError(408, msg) from None
        return b"".join(pieces)


def _encoding(content_type: str) -> Encoding | None:
    media_type = content_type.partition(";")[0].strip().lower()
    return next((encoding for encoding in Encoding if encoding.value == media_type), None)
