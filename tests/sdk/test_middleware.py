"""The middlewares without a network: websockets, WSGI, and what a client may set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.middleware import caller, request_id

ACME = sh.Caller(tenant="acme", environment="production", user_id="u1", budget={"max_usd": 1.0})


def test_a_websocket_has_its_request_id_and_caller(telemetry: OtlpSink) -> None:
    """The handshake is answered with the id, and the run inside has the caller's tenant."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        with sh.run("socket") as run:
            await websocket.send_json([await websocket.receive_text(), run.request_id, run.tenant])
        await websocket.close()

    with TestClient(sh.SpanhouseASGI(app, caller=lambda _: ACME)).websocket_connect("/ws") as socket:
        headers: dict[bytes, bytes] = dict(socket.extra_headers or [])
        socket.send_text("hello")
        text, known, tenant = socket.receive_json()
    assert (text, tenant) == ("hello", "acme")
    assert headers[b"x-request-id"].decode() == known


def test_an_async_caller_is_awaited_and_what_it_raises_goes_on() -> None:
    """Authentication may ask a database, and may refuse."""
    seen: list[sh.Caller | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(caller())

    async def who(scope: Any) -> sh.Caller:
        if scope["path"] == "/no":
            raise PermissionError
        return ACME

    wrapped = sh.SpanhouseASGI(app, caller=who)
    asyncio.run(wrapped({"type": "http", "path": "/", "headers": []}, _receive, _send))
    with pytest.raises(PermissionError):
        asyncio.run(wrapped({"type": "http", "path": "/no", "headers": []}, _receive, _send))
    assert seen == [ACME]
    assert (caller(), request_id()) == (None, None)


def test_a_lifespan_passes_untouched() -> None:
    """Start and end of a server are no requests."""
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request_id())

    asyncio.run(sh.SpanhouseASGI(app)({"type": "lifespan"}, _receive, _send))
    assert seen == [None]


def test_a_client_may_be_denied_an_id_of_its_own() -> None:
    """Where ids must not be chosen outside, each request gets a new one."""
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request_id())

    scope = {"type": "http", "headers": [(b"x-request-id", b"chosen")]}
    asyncio.run(sh.SpanhouseASGI(app, accept_request_id=False)(scope, _receive, _send))
    asyncio.run(sh.SpanhouseASGI(app)(scope, _receive, _send))
    assert seen[1] == "chosen" != seen[0]


def test_wsgi_streams_inside_its_request(telemetry: OtlpSink) -> None:
    """Each piece of the body, and a run that is held open between them, is in the context of its request."""
    answered: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("content-type", "text/plain"), ("X-Request-Id", "mine")])
        with sh.run("wsgi") as run:
            for number in range(3):
                yield f"{number} {run.request_id} {request_id()} {run.tenant};".encode()

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        answered.update(headers)

    body = sh.SpanhouseWSGI(app, caller=lambda _: ACME)({"HTTP_X_REQUEST_ID": "W-1"}, start)
    text = b"".join(piece for piece in body if request_id() is None and sh.current_run() is None)
    assert text == b"0 W-1 W-1 acme;1 W-1 W-1 acme;2 W-1 W-1 acme;"
    assert answered == {"content-type": "text/plain", "x-request-id": "W-1"}
    assert sh.flush()
    assert telemetry.span("invoke_agent wsgi").attributes["spanhouse.stop_reason"] == "finish"


def test_a_body_that_the_client_leaves_ends_its_run(telemetry: OtlpSink) -> None:
    """A server closes what it does not read to the end: the run in it is over, cancelled."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        with sh.run("wsgi"):
            yield b"first"
            yield b"second"

    body = sh.SpanhouseWSGI(app)({}, lambda *_: None)
    assert next(body) == b"first"
    body.close()  # type: ignore[attr-defined]
    assert sh.flush()
    assert telemetry.span("invoke_agent wsgi").attributes["spanhouse.stop_reason"] == "cancelled"


def test_a_header_that_is_no_name_is_refused() -> None:
    """A line break in a header's name would be another header."""
    with pytest.raises(sh.ConfigurationError, match="is no name of a header"):
        sh.SpanhouseASGI(_send, header="x-request-id\r\nset-cookie")  # type: ignore[arg-type]


async def _receive() -> dict[str, Any]:
    return {"type": "http.request"}


async def _send(message: Any) -> None:
    return None
