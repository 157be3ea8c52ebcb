"""ClickHouse's HTTP protocol, as far as its clients and Grafana need it to read: the same door, another language."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from spanhouse.errors import SpanhouseError
from spanhouse_server.keys.guard import Guard
from spanhouse_server.keys.rights import Access
from spanhouse_server.keys.ring import KeysUnavailableError
from spanhouse_server.sql import catalogue, wire
from spanhouse_server.sql.access import lacking
from spanhouse_server.sql.door import SqlDoor, StatementFailedError
from spanhouse_server.sql.refusal import Cap, CapReachedError, StatementRefusedError
from spanhouse_storage.contract import Store, StoreUnavailableError
from spanhouse_storage.tenants import TenantStore

LARGEST_BODY: Final = 1 << 20
THREADS: Final = 16
_FORMAT: Final = re.compile(r"\s+FORMAT\s+([A-Za-z]\w*)\s*;?\s*$", re.IGNORECASE)
_TRANSPORT: Final = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "session_id", "session_timeout", "session_check"),
        *("query_id", "quota_key", "client_protocol_version", "role", "compress", "decompress"),
    }
)
_KEY_PREFIX: Final = "shk_"

log = logging.getLogger(__name__)


class ProtocolError(SpanhouseError):
    """A request that is answered with an exception of ClickHouse's.

    Attributes:
        status: of HTTP.
        code: of ClickHouse.
        name: of ClickHouse's code.
    """

    def __init__(self, status: int, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.name = status, code, name


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read.

    Attributes:
        sql: the statement, its FORMAT taken off.
        output: the format of the answer.
        values: of `{name:Type}`.
        settings: of the engine, allowed ones alone.
        protocol: the client's revision of the protocol, 0 where it says none.
    """

    sql: str
    output: str
    values: dict[str, str]
    settings: dict[str, str]
    protocol: int


class Endpoint:
    """Answers the protocol's requests.

    Args:
        store: the store, of all tenants.
        door: the way in.
        guard: who may what.
    """

    def __init__(self, store: Store, door: SqlDoor, guard: Guard) -> None:
        self._store, self._door, self._guard = store, door, guard

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/ping", _ping, methods=["GET"]),
            Route("/replicas_status", _ping, methods=["GET"]),
            Route("/", self.answer, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes)

    async def answer(self, request: Request) -> Response:
        """Answer one statement, or with the text and code of what is wrong."""
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        headers = {"X-ClickHouse-Server-Display-Name": "Spanhouse", "X-ClickHouse-Timezone": "UTC"}
        headers["X-ClickHouse-Query-Id"] = re.sub(r"[^\w.:-]", "", query_id)[:100]
        try:
            fields = await _fields(request)
            # A limiter has to be made inside an event loop, and one loop has one endpoint.
            limiter = request.app.state.limiter = getattr(request.app.state, "limiter", None) or CapacityLimiter(
                THREADS
            )
            call = partial(self._answered, request, fields, headers)
            return await anyio.to_thread.run_sync(call, limiter=limiter)
        except ProtocolError as error:
            text = f"Code: {error.code}. DB::Exception: {error}. ({error.name})\n"
            headers |= {"X-ClickHouse-Exception-Code": str(error.code)}
            return PlainTextResponse(text, error.status, headers)

    def _answered(self, request: Request, fields: Mapping[str, str], headers: dict[str, str]) -> Response:
        store = self._narrowed(request, fields)
        asked = _read(request.headers, fields, store.info.database)
        if not asked.sql.strip():
            return PlainTextResponse("Ok.\n", headers=headers)
        summary: dict[str, str] = {}
        if asked.output == "Native" and " ".join(asked.sql.lower().rstrip("; \n").split()) == wire.HELLO:
            body = wire.hello(store.info.engine_version, asked.protocol)
        else:
            body, summary = self._ask(store, asked)
        headers |= {"X-ClickHouse-Format": asked.output, "X-ClickHouse-Summary": json.dumps(summary)}
        if fields.get("enable_http_compression", "0") not in {"0", "false"}:
            body, encoding = wire.compressed(body, request.headers.get("accept-encoding", ""))
            headers |= {"Content-Encoding": encoding} if encoding else {}
        return Response(body, headers=headers, media_type=wire.FORMATS[asked.output])

    def _ask(self, store: Store, asked: Asked) -> tuple[bytes, dict[str, str]]:
        try:
            answer = self._door.ask(
                store, asked.sql, asked.output, parameters=asked.values, system=True, settings=asked.settings
            )
        except StatementRefusedError as error:
            log.info("statement refused: %s", error)
            raise ProtocolError(HTTPStatus.FORBIDDEN, 497, "ACCESS_DENIED", str(error)) from None
        except StatementFailedError as error:
            status = HTTPStatus.NOT_FOUND if error.code in {60, 81} else HTTPStatus.BAD_REQUEST
            raise ProtocolError(status, error.code or 1000, "QUERY_FAILED", str(error)) from None
        except CapReachedError as error:
            raise _bounded(error) from None
        except StoreUnavailableError as error:
            raise ProtocolError(
                HTTPStatus.SERVICE_UNAVAILABLE, 279, "ALL_CONNECTION_TRIES_FAILED", str(error)
            ) from None
        summary = {
            "read_rows": str(answer.rows_read or 0),
            "read_bytes": str(answer.bytes_read or 0),
            "result_bytes": str(len(answer.body)),
            "elapsed_ns": str(int(answer.seconds * 1e9)),
        }
        return answer.body, summary

    def _narrowed(self, request: Request, fields: Mapping[str, str]) -> Store:
        """Return the store as far as the caller may see it.

        Raises:
            ProtocolError: 401 where nobody is known, 403 where somebody is who may not, 503 where nobody can tell.
        """
        try:
            access = self._guard.access(f"Bearer {_secret(request.headers, fields)}")
        except KeysUnavailableError as error:
            raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, 279, "KEYS_UNAVAILABLE", str(error)) from None
        need = lacking(access, self._store.info)
        if need is not None:
            raise _unknown(access)
        return self._store if access.tenants is None else TenantStore(self._store, access.tenants)


async def _ping(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


def _unknown(access: Access) -> ProtocolError:
    if access.name:
        message = f"key {access.name} may not run SQL here: an admin key of all tenants, or the operator token, may"
        return ProtocolError(HTTPStatus.FORBIDDEN, 497, "ACCESS_DENIED", message)
    message = "give the operator token or a key as the password; any user name will do"
    return ProtocolError(HTTPStatus.UNAUTHORIZED, 516, "AUTHENTICATION_FAILED", message)


def _bounded(error: CapReachedError) -> ProtocolError:
    status, code, name = {
        Cap.SECONDS: (HTTPStatus.REQUEST_TIMEOUT, 159, "TIMEOUT_EXCEEDED"),
        Cap.MEMORY: (HTTPStatus.INTERNAL_SERVER_ERROR, 241, "MEMORY_LIMIT_EXCEEDED"),
        Cap.ROWS: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 396, "TOO_MANY_ROWS_OR_BYTES"),
        Cap.BYTES: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 396, "TOO_MANY_ROWS_OR_BYTES"),
        Cap.AT_ONCE: (HTTPStatus.SERVICE_UNAVAILABLE, 202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    }[error.cap]
    return ProtocolError(status, code, name, error.detail)


async def _fields(request: Request) -> dict[str, str]:
    """Return the parameters of the URL and of a form; a body that is no form is the statement, or its end."""
    fields = dict(request.query_params)
    if request.method == "GET":
        return fields
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        raise _too_long()
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        async with request.form(max_files=0, max_part_size=LARGEST_BODY) as form:
            return fields | {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _too_long()
    try:
        plain = wire.decompressed(bytes(body), request.headers.get("content-encoding", "")).decode()
    except ValueError as error:
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST, 1000, "BAD_BODY", f"the statement cannot be read: {error}"
        ) from None
    query = fields.get("query", "")
    fields["query"] = f"{query}\n{plain}" if query else plain
    return fields


def _too_long() -> ProtocolError:
    message = f"a request may be {LARGEST_BODY:,} bytes long: nothing is inserted here"
    return ProtocolError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 307, "TOO_MANY_BYTES", message)


def _read(headers: Mapping[str, str], fields: Mapping[str, str], database: str) -> Asked:
    wanted = fields.get("database") or headers.get("x-clickhouse-database") or database
    if wanted not in {database, "default"}:
        message = f"there is no database {wanted[:60]!r}: it is {database}"
        raise ProtocolError(HTTPStatus.NOT_FOUND, 81, "UNKNOWN_DATABASE", message)
    if "1" in {fields.get("compress"), fields.get("decompress")}:
        message = "blocks compressed in ClickHouse's own way are not written here: choose gzip, zstd or no compression"
        raise ProtocolError(HTTPStatus.BAD_REQUEST, 48, "NOT_IMPLEMENTED", message)
    sql = fields.get("query", "")
    named = _FORMAT.search(sql)
    output = named[1] if named else fields.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"
    if output not in wire.FORMATS:
        message = f"format {output[:40]} is not written here; there are {', '.join(wire.FORMATS)}"
        raise ProtocolError(HTTPStatus.BAD_REQUEST, 73, "UNKNOWN_FORMAT", message)
    protocol = fields.get("client_protocol_version", "")
    return Asked(
        sql=sql[: named.start()] if named else sql,
        output=output,
        values={name.removeprefix("param_"): value for name, value in fields.items() if name.startswith("param_")},
        settings=_settings(fields),
        protocol=int(protocol) if protocol.isascii() and protocol.isdigit() else 0,
    )


def _settings(fields: Mapping[str, str]) -> dict[str, str]:
    chosen = {}
    for name, value in fields.items():
        if name in catalogue.CHANGEABLE:
            chosen[name] = value
        elif name not in catalogue.IGNORED and name not in _TRANSPORT and not name.startswith("param_"):
            message = f"setting {name[:60]} cannot be changed here: the server's own settings hold"
            raise ProtocolError(HTTPStatus.FORBIDDEN, 164, "READONLY", message)
    return chosen


def _secret(headers: Mapping[str, str], fields: Mapping[str, str]) -> str:
    """Return the key a client shows, wherever ClickHouse's clients put a password."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    user, password = headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
    password = password or fields.get("password", "")
    return password or (user if user.startswith(_KEY_PREFIX) else "")
