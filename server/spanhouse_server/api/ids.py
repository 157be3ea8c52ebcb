"""Ids in paths: a run may be named anything, also ``a/steps``, so its path is taken apart as it was sent."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

RUN_ID: Final = "{run_id:sent}"
SPAN_ID: Final = "{span_id:sent}"
_UNDER: Final = b"/api/v1/runs/"


class SentPaths:
    """Middleware that lets routes under ``/api/v1/runs/`` see their path still encoded.

    Decoded, ``/runs/a%2Fsteps`` (the run ``a/steps``) could not be told from ``/runs/a/steps`` (the steps of run
    ``a``). Their parameters are declared as `RUN_ID` and `SPAN_ID`, which decode them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and raw.startswith(_UNDER):
            scope = {**scope, "path": raw.partition(b"?")[0].decode("ascii", "replace")}
        await self._app(scope, receive, send)


class _Sent(Convertor[str]):
    """A part of a path as it was sent; slashes that were not encoded belong to it too."""

    regex = ".+"

    def convert(self, value: str) -> str:
        """Return the text that was encoded."""
        return unquote(value)

    def to_string(self, value: Any) -> str:  # noqa: ANN401 - as the base has it
        """Return the text as it is."""
        return str(value)


if "sent" not in CONVERTOR_TYPES:
    register_url_convertor("sent", _Sent())
