"""A ClickHouse server on loopback, as far as our client can tell: its HTTP over an engine in this process."""

from __future__ import annotations

import base64
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import chdb

# What the protocol itself uses; every other parameter of a request is an engine setting.
_PROTOCOL = {
    "query",
    "database",
    "wait_end_of_query",
    "session_id",
    "query_id",
    "client_protocol_version",
    "enable_http_compression",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
}


# One shard, which is this engine: rows go through the table over the shards and come back through it.
_CONFIG = """<clickhouse><tcp_port>9000</tcp_port><remote_servers><NAME><shard>
<internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica>
</shard></NAME></remote_servers></clickhouse>"""

_EVERYWHERE = re.compile(r" ON CLUSTER \w+")
_REPLICATED = re.compile(r"Replicated(\w*MergeTree)\('/clickhouse/tables/[^']*', '\{replica\}'(?:, )?")


def _alone(statement: str) -> str:
    """Return a statement without what needs a Keeper, which the engine in this process has none of."""
    plain = _REPLICATED.sub(r"\1(", _EVERYWHERE.sub("", statement))
    return plain.replace("replicated_deduplication_window", "non_replicated_deduplication_window")


class ClickHouseHttp:
    """A running server; `url(database)` is what `open_store` takes. With `cluster`, one shard of such a cluster.

    Attributes:
        failures: answers, as `(status, ClickHouse error code)`, that the next requests get instead of being run.
        queries: text of every request that was run.
    """

    def __init__(self, path: Path, *, password: str = "secret", port: int = 0, cluster: str = "") -> None:
        self.path = path
        self.cluster = cluster
        self.password = password
        self.authorization = "Basic " + base64.b64encode(f"default:{password}".encode()).decode()
        self.failures: list[tuple[int, int]] = []
        self.queries: list[str] = []
        # One handle stays open, as the engine ends with its last one.
        self._engine = self._connect()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"owner": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._engine.close()

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        return int(self._server.server_address[1])

    def url(self, database: str = "spanhouse") -> str:
        """Return the store URL of one of the server's databases."""
        return f"clickhouse://default:{self.password}@127.0.0.1:{self.port}/{database}"

    def _connect(self) -> Any:
        if not self.cluster:
            return chdb.connect(str(self.path))
        config = self.path.with_name("cluster.xml")
        if not config.exists():
            config.write_text(_CONFIG.replace("NAME", self.cluster))
        return chdb.connect(f"{self.path}?config-file={config}")

    def run(self, parameters: dict[str, str], body: bytes) -> bytes:
        """Run one request on a handle of its own, as a server does without sessions."""
        query = parameters.get("query", "")
        self.queries.append(query or body.decode(errors="replace"))
        handle = self._connect()
        try:
            if parameters.get("database"):
                handle.query(f"USE `{parameters['database']}`")
            for name, value in parameters.items():
                if name not in _PROTOCOL and not name.startswith("param_"):
                    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
                    handle.query(f"SET {name} = '{escaped}'")
            bound = {
                name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")
            }
            with _as_statement(query, body) as statement:
                answer: bytes = handle.query(
                    _alone(statement) if self.cluster else statement, "TabSeparated", params=bound
                ).bytes()
                return answer or b""
        finally:
            handle.close()


@contextmanager
def _as_statement(query: str, body: bytes) -> Iterator[str]:
    """Give the engine in one statement what HTTP splits into a query and data."""
    if not query:
        head, _, data = body.partition(b"\n")
        if not head.startswith(b"INSERT INTO"):
            yield body.decode()
            return
        query, body = head.decode(), data
    if not body:
        yield query
        return
    into, _, data_format = query.rpartition(" FORMAT ")
    with tempfile.NamedTemporaryFile(suffix=".data") as file:
        file.write(body)
        file.flush()
        yield f"{into} FROM INFILE '{file.name}' FORMAT {data_format}"


class _Handler(BaseHTTPRequestHandler):
    """One connection; `owner` is the server it belongs to."""

    protocol_version = "HTTP/1.1"
    owner: ClickHouseHttp

    def do_POST(self) -> None:
        """Answer a request as ClickHouse does: parameters from the URL or form, the statement also from the body."""
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            parameters.update(_form(kind, body))
            body = b""
        if self.headers.get("Authorization") != self.owner.authorization:
            self._answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", code=516)
        elif self.owner.failures:
            status, code = self.owner.failures.pop(0)
            self._answer(status, f"Code: {code}. DB::Exception: as the test asked".encode(), code=code)
        else:
            self._run(parameters, body)

    do_GET = do_POST  # noqa: N815 - the base class looks it up by this name

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""

    def _run(self, parameters: dict[str, str], body: bytes) -> None:
        try:
            answer = self.owner.run(parameters, body)
        except Exception as error:  # noqa: BLE001 - whatever the engine says goes to the client
            text = str(error)
            code = text.partition("Code: ")[2].partition(".")[0]
            self._answer(500, text.encode(), code=int(code) if code.isdigit() else 1)
        else:
            self._answer(200, answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes, *, code: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Summary", "{}")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        elif body:
            self.send_header("X-ClickHouse-Format", "TabSeparated")
        self.end_headers()
        self.wfile.write(body)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode()
    return fields
