"""Errors as RFC 9457 problem documents: one family, one shape, whatever went wrong."""

from __future__ import annotations

import logging
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from spanhouse_server.caps import OverCapError
from spanhouse_storage.contract import QueryError, StoreUnavailableError
from spanhouse_storage.reads import CursorError

log = logging.getLogger(__name__)

_LONGEST_ECHO = 200


class Problem(Exception):  # noqa: N818 - named for the document it becomes
    """An answer that is an error: status, what failed, and what to do."""

    def __init__(self, status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers


def problem_response(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the HTTP answer for a problem."""
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail}
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make every error that leaves a route a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> Response:
        return problem_response(error.status, error.title, error.detail, error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"there is nothing at {request.url.path}; the API is described at /docs"
        headers = dict(error.headers or {})
        return problem_response(error.status_code, HTTPStatus(error.status_code).phrase, detail, headers)

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in {"query", "body", "path"})
        detail = f"{where}: {first['msg']}; got {repr(first.get('input'))[:_LONGEST_ECHO]}"
        return problem_response(HTTPStatus.BAD_REQUEST, "A parameter cannot be used", detail)

    @app.exception_handler(StoreUnavailableError)
    async def _unavailable(_: Request, error: StoreUnavailableError) -> Response:
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer", str(error), {"Retry-After": "2"}
        )

    @app.exception_handler(CursorError)
    async def _cursor(_: Request, error: CursorError) -> Response:
        return problem_response(HTTPStatus.BAD_REQUEST, "The cursor cannot be used", str(error))

    @app.exception_handler(OverCapError)
    async def _over_cap(_: Request, error: OverCapError) -> Response:
        return problem_response(error.status, "The question is too large", str(error))

    @app.exception_handler(QueryError)
    async def _query(_: Request, error: QueryError) -> Response:
        log.error("query failed: %s", error)
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "A query failed", str(error))

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> Response:
        # The server logs the traceback; the caller learns that it is not theirs to mend.
        detail = f"{type(error).__name__} inside the server; its log has the details"
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed", detail)
