"""``/api/v1/export``: everything that is meant, as one Arrow stream that can be taken up again where it broke off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Final

import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from spanhouse_analysis import columnar
from spanhouse_analysis.times import rfc3339
from spanhouse_collector import rebuild
from spanhouse_server.api.answers import ARROW, json_bytes
from spanhouse_server.api.filters import run_filter, values
from spanhouse_server.api.parameters import nearest
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.times import moment
from spanhouse_server.parts import Parts, parts_of
from spanhouse_storage import reads
from spanhouse_storage.reads import AuditFilter, Chunk, RunFilter, Snapshot
from spanhouse_storage.tables import SCHEMAS

router = APIRouter(prefix="/api/v1/export", tags=["runs"])

SETTLE_SECONDS: Final = 5.0
"""How long the first answer waits for what was acknowledged before it was asked."""
_MARGIN_SECONDS: Final = 1.0

FORMS: Final = ("rows", "stored")
_STORED: Final = {
    # The bucket follows from the start, and the engine's type for it is lost on the way.
    "spans": tuple(name for name in dict.fromkeys((*rebuild.COLUMNS, *rebuild.ALSO)) if name != "bucket"),
    "audit": reads.AUDIT_COLUMNS,
}
"""What is stored of a record, for who makes OTLP of it again."""


@router.get("/{kind}")
def stream(
    request: Request,
    kind: str,
    chosen: Annotated[RunFilter, Depends(run_filter)],
    run_id: Annotated[list[str] | None, Query(description="Audit events of these runs")] = None,
    name: Annotated[list[str] | None, Query(description="Audit events of these names")] = None,
    content: Annotated[bool, Query(description="Spans with inputs, outputs, attributes and events")] = False,
    form: Annotated[str, Query(description="rows: as the API names them; stored: as the tables do")] = "rows",
    as_of: Annotated[str | None, Query(description="Rows received after this are left out; now by default")] = None,
    cursor: Annotated[str | None, Query(description="Of the last batch that was taken")] = None,
) -> Response:
    """Stream all runs, spans, steps or audit events that match, in the order of their keys, in typed columns.

    Each batch carries the ``cursor`` that continues after it, the last one is empty and says ``done``. The schema's
    metadata says ``as_of``, ``expected`` and the server's version.
    """
    if kind not in reads.KINDS:
        detail = f"{kind[:100]!r} cannot be exported: {nearest(kind, reads.KINDS)}"
        raise Problem(HTTPStatus.NOT_FOUND, "There is no such export", detail)
    if form not in FORMS or (form == "stored" and kind not in _STORED):
        known = FORMS if kind in _STORED else FORMS[:1]
        detail = f"{kind} have no form {form[:100]!r}: {nearest(form, known)}"
        raise Problem(HTTPStatus.BAD_REQUEST, "There is no such form", detail)
    parts = parts_of(request)
    now = datetime.now(UTC)
    snapshot = Snapshot(
        kind,
        as_of=moment(as_of, "as_of", now) or _settled(parts, now),
        runs=chosen,
        audit=_audit(chosen, run_id, name, request, kind),
        columns=_STORED[kind] if form == "stored" else (),
        slim=not content,
    )
    told = {
        "as_of": rfc3339(snapshot.as_of),
        "since": rfc3339(chosen.since),
        "until": rfc3339(chosen.until),
        "expected": reads.bulk_count(parts.store, snapshot),
        "version": version("spanhouse"),
    }
    chunks = reads.bulk_rows(parts.store, snapshot, cursor)
    # The first rows are read before the answer begins, so that what cannot be read is a problem, not a broken stream.
    first = next(chunks, None)
    return StreamingResponse(_written(_schema(snapshot), told, first, chunks, snapshot), media_type=ARROW)


def _audit(
    chosen: RunFilter, run_id: list[str] | None, name: list[str] | None, request: Request, kind: str
) -> AuditFilter:
    """Return the filter of audit events.

    Raises:
        Problem: 400; a filter was given that this kind of export does not have.
    """
    of_audit = {"tenant", "run_id", "request_id", "agent", "tool", "name", "since", "until"}
    general = {"content", "form", "as_of", "cursor"}
    allowed = of_audit | general if kind == "audit" else None
    for given in request.query_params:
        unknown = given not in allowed if allowed is not None else given in {"run_id", "name"}
        if unknown:
            known = sorted(of_audit) if kind == "audit" else ["request_id", "session_id", "task"]
            detail = f"{kind} cannot be filtered by {given[:100]!r}: {nearest(given, known)}"
            raise Problem(HTTPStatus.BAD_REQUEST, "A filter has no meaning here", detail)
    return AuditFilter(
        tenant=chosen.tenant,
        run_id=values(run_id),
        request_id=chosen.request_id,
        name=values(name),
        agent=chosen.agent,
        tool=chosen.tool,
        since=chosen.since,
        until=chosen.until,
    )


def _settled(parts: Parts, now: datetime) -> datetime:
    """Return the time up to which everything acknowledged is stored; now, where that comes true soon."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while parts.pipeline.pending(until=now) or parts.facts.pending():
        if time.monotonic() > deadline:
            waiting = parts.pipeline.lag().seconds if parts.pipeline.pending(until=now) else 0.0
            return now - timedelta(seconds=waiting + _MARGIN_SECONDS) if waiting else now
        time.sleep(0.05)
    return now


def _schema(snapshot: Snapshot) -> pa.Schema:
    if snapshot.columns:
        table = "audit_events" if snapshot.kind == "audit" else snapshot.kind
        return pa.schema([SCHEMAS[table].field(name) for name in snapshot.columns])
    return columnar.schema(snapshot.kind, content=not snapshot.slim)


def _written(
    schema: pa.Schema, told: dict[str, Any], first: Chunk | None, rest: Iterator[Chunk], snapshot: Snapshot
) -> Iterator[bytes]:
    sink = _Pieces()
    rows = 0
    metadata = {key: json_bytes(value) for key, value in told.items()}
    with pa.ipc.new_stream(sink, schema.with_metadata(metadata)) as writer:
        yield from sink.taken()
        for chunk in _all(first, rest):
            table = chunk.rows.cast(schema) if snapshot.columns else columnar.TABLES[snapshot.kind](chunk.rows)
            rows += table.num_rows
            for batch in _batches(table):
                writer.write_batch(batch, custom_metadata={"cursor": chunk.cursor})
                yield from sink.taken()
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        writer.write_batch(empty, custom_metadata={"done": "true", "rows": str(rows)})
    yield from sink.taken()


def _all(first: Chunk | None, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    if first is not None:
        yield first
        yield from rest


def _batches(table: pa.Table) -> Sequence[pa.RecordBatch]:
    """Return a chunk as one batch: a cursor stands behind all the rows that it is past."""
    batches: Sequence[pa.RecordBatch] = table.combine_chunks().to_batches()
    return batches


class _Pieces:
    """A file that is read out while it is written."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: pa.Buffer | bytes) -> int:
        """Keep a piece."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: there is nowhere to flush to."""

    def taken(self) -> list[bytes]:
        """Return what was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return [b"".join(pieces)] if pieces else []
