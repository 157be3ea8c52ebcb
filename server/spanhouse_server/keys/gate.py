"""Stands before every route of the API, the metrics and the pages: who shows nothing good gets no further.

A route learns what its caller may from `access_of`. OTLP routes judge by themselves, as they answer in OTLP's form.
"""

from __future__ import annotations

from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from spanhouse_server import token
from spanhouse_server.api.problems import problem_response
from spanhouse_server.keys.guard import UNAVAILABLE_SECONDS, Guard
from spanhouse_server.keys.refusals import Door, Why
from spanhouse_server.keys.rights import Access, Need, Right, needed
from spanhouse_server.keys.ring import KeysUnavailableError
from spanhouse_server.keys.sessions import COOKIE

PAGES: Final = "/ui"
LOGIN: Final = "/ui-login"
_POLICY_VIOLATION: Final = 1008
_NO_TENANTS: Final = Access(frozenset(), frozenset())


class Gate:
    """ASGI middleware that lets through what the guard allows."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403 or 503; a page's request is sent to the login."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            refusal = self._judge(scope)
        except KeysUnavailableError as error:
            self._guard.refusals.count(Door.API, Why.UNAVAILABLE)
            headers = {"Retry-After": str(UNAVAILABLE_SECONDS)}
            refusal = problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "Keys cannot be checked", str(error), headers)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    def _judge(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        headers = Headers(scope=scope)
        if path == PAGES or path.startswith(f"{PAGES}/"):
            open_to_all = not self._guard.enforced()
            return None if open_to_all or self._guard.logged_in(cookie_of(headers)) else RedirectResponse(LOGIN, 303)
        need = needed(scope.get("method", "GET"), path)
        if need is None:
            return None
        shown = headers.get("authorization", "")
        access = self._guard.access(shown)
        if not access.may(need):
            self._guard.refusals.count(Door.API, Why.ROLE if access.name else self._guard.why(shown))
            return refused(access, need)
        foreign = access.foreign(_tenants(scope))
        if foreign:
            self._guard.refusals.count(Door.API, Why.TENANT)
            detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
            return problem_response(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
        scope.setdefault("state", {})["access"] = access
        return None


def access_of(request: HTTPConnection) -> Access:
    """Return what the caller of a route may; nothing, for no tenant, where the gate let everybody through."""
    found = getattr(request.state, "access", None)
    return found if isinstance(found, Access) else _NO_TENANTS


def refused(access: Access, need: Need) -> Response:
    """Return the answer to who may not: 401 where nobody is known, 403 where somebody is."""
    if access.name:
        what = f"{need.right.value} of all tenants" if need.everywhere else need.right.value
        detail = f"key {access.name} may not {what}; its role or tenants do not allow it"
        return problem_response(HTTPStatus.FORBIDDEN, "The key does not allow this", detail)
    if need.right in {Right.CONTROL, Right.STEER, Right.KEYS, Right.QUERY, Right.BACKUP}:
        detail = (
            f"send the operator token as 'Authorization: Bearer …'; it is in {token.FILE_NAME} in the server's "
            f"data directory. A key that may {need.right.value} does too"
        )
        headers = {"WWW-Authenticate": 'Bearer realm="operator"'}
        return problem_response(HTTPStatus.UNAUTHORIZED, "Only an operator may do this", detail, headers)
    detail = "this server asks for a key: send 'Authorization: Bearer shk_…', or set SPANHOUSE_TOKEN"
    headers = {"WWW-Authenticate": 'Bearer realm="spanhouse"'}
    return problem_response(HTTPStatus.UNAUTHORIZED, "A key is needed", detail, headers)


def cookie_of(headers: Headers) -> str:
    """Return the cookie of a session; empty where there is none."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _tenants(scope: Scope) -> frozenset[str]:
    """Return the tenants that the query string asks for by name."""
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=False)
    named = (part for key, value in pairs if key == "tenant" for part in value.split(","))
    return frozenset(part for part in named if part)
