"""How rows leave the API: JSON by default, an Arrow stream for who asks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
import pyarrow as pa
from fastapi import Request
from starlette.responses import Response

from spanhouse_analysis import columnar

ARROW = "application/vnd.apache.arrow.stream"


def answer(
    request: Request,
    key: str,
    rows: Sequence[dict[str, Any]],
    columns: pa.Schema | None = None,
    **rest: object,
) -> Response:
    """Return rows as ``{key: rows, **rest}`` in JSON, or as an Arrow stream where the caller accepts one.

    In the Arrow form the table has these columns, also without rows: times in UTC, lists of texts as lists, objects
    as JSON text. Without columns they are what the rows have. ``rest`` travels as JSON in the schema's metadata.
    """
    if ARROW not in request.headers.get("accept", ""):
        return json_answer({key: rows, **rest})
    if columns is None:
        table = pa.Table.from_pylist([{k: _flat(v) for k, v in row.items()} for row in rows])
    else:
        table = columnar.typed(rows, columns)
    table = table.replace_schema_metadata({k: json_bytes(v) for k, v in rest.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


def json_answer(body: object, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(json_bytes(body), status, headers=headers, media_type="application/json")


def json_bytes(value: object) -> bytes:
    """Return JSON of any value that was read from JSON, whatever an agent put there."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Integers over 64 bits, halves of surrogate pairs, deep nesting: legal JSON that orjson does not write.
        text = json.dumps(value)
        if "NaN" in text or "Infinity" in text:
            text = json.dumps(json.loads(text, parse_constant=lambda _: None))
        return text.encode()


def _flat(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return json_bytes(value).decode() if isinstance(value, dict | list) else value
