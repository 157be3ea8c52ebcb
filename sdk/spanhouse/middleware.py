"""Middleware for web servers: each request has an id, and runs inside it know whose they are.

Whose they are says a callable of yours, from what authentication found out: a client may set any header it likes.
"""

from __future__ import annotations

import contextvars
import inspect
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanhouse.context import leave
from spanhouse.errors import ConfigurationError
from spanhouse.propagation import RemoteRun, context_of, remote_run, with_caller

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Environ = dict[str, Any]

HEADER: Final = "x-request-id"
_BOUND: Final = otel_context.create_key("spanhouse-caller")
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from, as authentication found out.

    Attributes:
        tenant, environment, user_id, session_id: given to runs that name none themselves.
        budget: limits of what may be spent for this caller, such as ``{"max_usd": 0.5}``; see ``caller()``.
        roles: for the policies of guarded runs.
        trusted: one of your own services: its trace and its run are joined; see ``spanhouse.extract``.
    """

    tenant: str | None = None
    environment: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    roles: Collection[str] = ()
    trusted: bool = False


def caller() -> Caller | None:
    """Return who the request is from that the calling code serves; None outside a request."""
    found = otel_context.get_value(_BOUND)
    return found if isinstance(found, Caller) else None


def request_id() -> str | None:
    """Return the id of the request that the calling code serves; None outside a request."""
    found = remote_run()
    return found.request_id if found is not None else None


class SpanhouseASGI:
    """ASGI middleware: ``app.add_middleware(SpanhouseASGI, caller=who)`` or ``SpanhouseASGI(app, caller=who)``.

    The request's id is taken from the header, or made, and sent back in the response's (a websocket's: in the answer
    to its handshake). It holds for streamed responses up to their last byte.

    Args:
        app: what is wrapped.
        caller: returns who the request is from, given the ASGI scope; may be async. Whatever it raises, the server
            sees. Where it is not given, or returns None, runs have of the request its id alone.
        header: the header that carries the id.
        accept_request_id: whether a client may bring an id of its own; else every request gets a new one.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        caller: Callable[[Scope], Caller | Awaitable[Caller | None] | None] | None = None,
        header: str = HEADER,
        accept_request_id: bool = True,
    ) -> None:
        self._app = app
        self._caller = caller
        self._header = _named(header)
        self._accept = accept_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        who = self._caller(scope) if self._caller is not None else None
        if inspect.isawaitable(who):
            who = await who
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        known, context = _bound(headers, who, headers.get(self._header) if self._accept else None)
        said = (self._header.encode(), known.encode())

        async def answer(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
                kept = [pair for pair in message.get("headers") or () if pair[0].lower() != said[0]]
                message = {**message, "headers": [*kept, said]}
            await send(message)

        token = otel_context.attach(context)
        try:
            await self._app(scope, receive, answer)
        finally:
            leave(token)


class SpanhouseWSGI:
    """WSGI middleware; the arguments are those of ``SpanhouseASGI``, and ``caller`` is given the WSGI environ."""

    def __init__(
        self,
        app: Callable[[Environ, Callable[..., Any]], Iterable[bytes]],
        *,
        caller: Callable[[Environ], Caller | None] | None = None,
        header: str = HEADER,
        accept_request_id: bool = True,
    ) -> None:
        self._app = app
        self._caller = caller
        self._header = _named(header)
        self._accept = accept_request_id

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
        """Serve one request."""
        headers = {
            key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        who = self._caller(environ) if self._caller is not None else None
        known, context = _bound(headers, who, headers.get(self._header) if self._accept else None)

        def answer(status: str, sent: list[tuple[str, str]], *rest: Any) -> Any:  # noqa: ANN401 - WSGI's own
            kept = [pair for pair in sent if pair[0].lower() != self._header]
            return start_response(status, [*kept, (self._header, known)], *rest)

        # The body is made after this returns: every piece of it in the one context that the request has.
        own = contextvars.copy_context()
        own.run(otel_context.attach, context)
        return _body(own, own.run(self._app, environ, answer))


def _body(own: contextvars.Context, body: Iterable[bytes]) -> Iterator[bytes]:
    try:
        pieces = own.run(iter, body)
        while (piece := own.run(next, pieces, None)) is not None:
            yield piece
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            own.run(close)


def _bound(headers: Mapping[str, str], who: Caller | None, brought: str | None) -> tuple[str, Context]:
    trusted = who is not None and who.trusted
    context = context_of(headers, trusted=True) if trusted else Context()
    remote = remote_run(context) or RemoteRun()
    taken = brought if brought and _REQUEST_ID.fullmatch(brought) else None
    known = taken or remote.request_id or secrets.token_hex(16)
    said = {} if who is None else {name: getattr(who, name) for name in _IDENTITY if getattr(who, name) is not None}
    context = with_caller(replace(remote, request_id=known, **said), context)
    return known, context if who is None else otel_context.set_value(_BOUND, who, context)


_IDENTITY: Final = ("tenant", "environment", "user_id", "session_id")


def _named(header: str) -> str:
    if not _HEADER_NAME.fullmatch(header):
        msg = f"{header!r} is no name of a header: give letters, digits and hyphens, such as {HEADER}"
        raise ConfigurationError(msg)
    return header.lower()
