"""The API's far end, scripted: a real HTTP server on loopback that answers a path as it is told and keeps requests."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer: status, body (bytes as they are, anything else as JSON) and content type."""

    status: int = 200
    body: Any = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Asked:
    """One request as it came: path unquoted, query with single values, headers with lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class ApiStub:
    """Answers each path with its queued replies, then with the last of them; 404 for a path it was not told of."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, path: str, *replies: Reply | dict[str, Any]) -> None:
        """Queue answers for a path; a dict stands for a 200 with it as JSON."""
        with self._lock:
            self._replies[path].extend(item if isinstance(item, Reply) else Reply(body=item) for item in replies)

    def take(self, asked: Asked) -> Reply:
        """Keep one request and return its answer."""
        with self._lock:
            self.asked.append(asked)
            replies = self._replies.get(asked.path)
            if not replies:
                return Reply(
                    404, {"title": "Not found", "detail": f"nothing at {asked.path}"}, "application/problem+json"
                )
            return replies.popleft() if len(replies) > 1 else replies[0]


def _handler(stub: ApiStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            address = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            reply = stub.take(Asked(self.command, unquote(address.path), query, headers, body))
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            if reply.status == 304:
                content = b""
            self.send_response(reply.status)
            self.send_header("content-type", reply.content_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the test's output clean."""

    return Handler
