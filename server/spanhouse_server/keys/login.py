"""``/ui-login``: a key, the operator's token or the printed link's ticket for a cookie that opens the pages."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from spanhouse_server.keys.gate import LOGIN, PAGES
from spanhouse_server.keys.sessions import COOKIE, LASTS
from spanhouse_server.parts import whole

router = APIRouter(include_in_schema=False)

_SAFE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
}
_LONGEST: Final = 1_000

_PAGE: Final = resources.files("spanhouse_server.keys").joinpath("login.html").read_text(encoding="utf-8")
_BAD: Final = (
    '<p class="bad" role="alert">That opens nothing here. A key must be active and may read; a link works once.</p>'
)


@router.get(LOGIN)
def ask(request: Request, token: str = "") -> Response:
    """Return the form, or with ``token`` log in at once."""
    return _enter(request, token) if token else _form("")


@router.post(LOGIN)
async def enter(request: Request) -> Response:
    """Log in with what the form holds."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST:
            return _form(_BAD, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    fields = dict(parse_qsl(body.decode("latin-1")))
    return _enter(request, fields.get("token", "").strip())


def _enter(request: Request, text: str) -> Response:
    cookie = whole(request).guard.login(text)
    if cookie is None:
        return _form(_BAD, HTTPStatus.UNAUTHORIZED)
    # The token leaves the address bar with this, and nobody is told of it as a referrer.
    answer = RedirectResponse(f"{PAGES}/", HTTPStatus.SEE_OTHER, headers=_SAFE)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def _form(message: str, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(_PAGE.replace("<!-- message -->", message), status, headers=_SAFE)
