"""How rows leave the API: JSON by default, an Arrow stream for who asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import orjson
import pyarrow as pa
from fastapi import Request
from starlette.responses import Response

from spanhouse_server.api.problems import Problem
from spanhouse_server.settings import parse_age

ARROW = "application/vnd.apache.arrow.stream"


def answer(request: Request, key: str, rows: Sequence[dict[str, Any]], **rest: object) -> Response:
    """Return rows as ``{key: rows, **rest}`` in JSON, or as an Arrow stream where the caller accepts one.

    In the Arrow form nested values are JSON text, and ``rest`` travels in the schema's metadata.
    """
    if ARROW not in request.headers.get("accept", ""):
        return json_answer({key: rows, **rest})
    flat = [{k: _flat(v) for k, v in row.items()} for row in rows]
    table = pa.Table.from_pylist(flat)
    table = table.replace_schema_metadata({k: orjson.dumps(v) for k, v in rest.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


def json_answer(body: object, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def moment(value: str | None, name: str, now: datetime) -> datetime | None:
    """Return the time a ``since`` or ``until`` parameter means: RFC 3339, or an age such as ``24h`` before now."""
    if not value:
        return None
    try:
        return now - timedelta(seconds=parse_age(value))
    except ValueError:
        pass  # not an age: it must be a date then
    try:
        # A plus sign in a query string arrives as a space.
        parsed = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        detail = f"{name}={value!r} is neither an RFC 3339 time (2026-01-31T00:00:00Z) nor an age (15m, 24h, 7d)"
        raise Problem(HTTPStatus.BAD_REQUEST, "A time cannot be read", detail) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _flat(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value
