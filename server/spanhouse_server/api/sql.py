"""``/api/v1/sql``: one SELECT over the tables, read-only and bounded; what they hold is at ``/api/v1/sql/tables``."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanhouse_server.api.answers import ARROW, json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import parts_of, whole
from spanhouse_server.sql.access import lacking
from spanhouse_server.sql.columns import described
from spanhouse_server.sql.door import Answer, StatementFailedError
from spanhouse_server.sql.refusal import Cap, CapReachedError, StatementRefusedError

LARGEST_BODY = 1 << 20
CSV = "text/csv"

log = logging.getLogger(__name__)


def may_query(request: Request) -> None:
    """Refuse who may not send statements.

    Raises:
        Problem: 401 where nobody is known, 403 where somebody is.
    """
    access = access_of(request)
    if lacking(access, whole(request).store.info) is None:
        return
    if access.name:
        detail = (
            f"key {access.name} may not run SQL on the embedded store: only the operator and admins of all tenants may"
        )
        raise Problem(HTTPStatus.FORBIDDEN, "The key does not allow this", detail)
    detail = (
        "SQL on the embedded store runs with the server's own rights: send the operator token as "
        "'Authorization: Bearer …' (operator.token in the server's data directory), or an admin key of all tenants"
    )
    headers = {"WWW-Authenticate": 'Bearer realm="operator"'}
    raise Problem(HTTPStatus.UNAUTHORIZED, "Only an operator may do this", detail, headers)


router = APIRouter(prefix="/api/v1/sql", tags=["sql"], dependencies=[Depends(may_query)])


class Asked(BaseModel):
    """A statement and the values of its parameters."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(description="One SELECT; WITH, UNION, EXPLAIN, SHOW TABLES and DESCRIBE too")
    parameters: dict[str, str] = Field(default_factory=dict, description="Values of {name:Type}, as texts")


@router.post("", max_body_size=LARGEST_BODY)
def posted(request: Request, asked: Asked) -> Response:
    """Return a statement's rows: JSON, an Arrow stream or CSV, whichever the caller accepts."""
    return _answered(request, asked.sql, asked.parameters)


@router.get("")
def got(
    request: Request,
    sql: Annotated[str, Query(description="One SELECT")],
    parameter: Annotated[list[str] | None, Query(description="Value of {name:Type}: NAME=VALUE; repeatable")] = None,
) -> Response:
    """Return a statement's rows: JSON, an Arrow stream or CSV, whichever the caller accepts."""
    values = {}
    for given in parameter or ():
        name, equals, value = given.partition("=")
        if not equals:
            raise Problem(HTTPStatus.BAD_REQUEST, "A parameter cannot be used", f"parameter={given[:80]!r}: NAME=VALUE")
        values[name] = value
    return _answered(request, sql, values)


@router.get("/tables")
def tables(request: Request) -> Response:
    """Return the tables that statements may read, with the type and meaning of every column."""
    return json_answer({"tables": described(whole(request).store)})


def _answered(request: Request, sql: str, values: dict[str, str]) -> Response:
    accepted = request.headers.get("accept", "")
    output = "ArrowStream" if ARROW in accepted else "CSVWithNames" if CSV in accepted else "JSONCompact"
    parts, access = parts_of(request), access_of(request)
    try:
        answer = parts.sql.ask(parts.store, sql, output, parameters=values)
    except StatementRefusedError as error:
        log.info("statement of %s refused: %s", access.name or "anyone", error)
        raise Problem(HTTPStatus.BAD_REQUEST, "The statement is not allowed", str(error)) from None
    except StatementFailedError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "The statement cannot be run", str(error)) from None
    except CapReachedError as error:
        raise _bounded(error) from None
    if output == "JSONCompact":
        return json_answer(_json(answer))
    media = ARROW if output == "ArrowStream" else f"{CSV}; charset=utf-8"
    return Response(answer.body, media_type=media)


def _bounded(error: CapReachedError) -> Problem:
    if error.cap in {Cap.ROWS, Cap.BYTES}:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The answer is too large", error.detail)
    headers = {"Retry-After": "2"} if error.cap is Cap.AT_ONCE else None
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The statement asks for too much", error.detail, headers)


def _json(answer: Answer) -> dict[str, Any]:
    # A plan that EXPLAIN writes is no JSON of its own, but has the format's frame all the same.
    found = orjson.loads(answer.body)
    return {
        "columns": found["meta"],
        "rows": found["data"],
        "row_count": found["rows"],
        "rows_read": answer.rows_read if answer.rows_read is not None else found.get("statistics", {}).get("rows_read"),
        "seconds": round(answer.seconds, 6),
    }
