"""A misspelt query parameter is an error: ignored, it would widen the answer to everything in silence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from http import HTTPStatus

from fastapi import Request

from spanhouse_server.api.problems import Problem


def known_only(request: Request) -> None:
    """Refuse query parameters that the published description of the route does not have.

    Raises:
        Problem: 400, with the nearest name and all that are known.
    """
    if not request.query_params:
        return
    operation = request.app.openapi()["paths"][request.scope["route"].path_format][request.method.lower()]
    known = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            detail = f"{request.url.path} takes no {name[:100]!r}: {nearest(name, known)}"
            raise Problem(HTTPStatus.BAD_REQUEST, "A parameter is unknown", detail)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the words that help who wrote ``name`` and meant one of ``known``."""
    names = [str(one) for one in known]
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(names) or 'none'}"
