"""Keeps web pages of strangers out of a server that trusts its machine.

A page may point its own domain name at 127.0.0.1 and then read, as the same origin, whatever answers there. Its
requests still carry that name in ``Host``: a server that asks nobody for a key answers to loopback names alone.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from spanhouse_server.api.problems import problem_response
from spanhouse_server.settings import is_loopback

_POLICY_VIOLATION = 1008


class LoopbackNamesOnly:
    """ASGI middleware that refuses requests addressed to a name that is not this machine's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421."""
        if scope["type"] in {"http", "websocket"}:
            address = Headers(scope=scope).get("host", "localhost")
            if not is_loopback(_name(address)):
                await self._refuse(address, scope, receive, send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    async def _refuse(address: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        detail = (
            f"this server answers on loopback only and was addressed as {address[:100]!r}; ask for 127.0.0.1, "
            "or start it with --allow-remote true if a proxy in front of it decides who may ask"
        )
        answer = problem_response(HTTPStatus.MISDIRECTED_REQUEST, "The address is not this machine's", detail)
        await answer(scope, receive, send)


def _name(address: str) -> str:
    """Return the host of ``host``, ``host:port`` or ``[v6]:port``, in small letters."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    return address.partition(":")[0].lower()
