"""A receiver on a real port, a settable clock, a state database, and figures by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.support.postgres import empty, missing, postgres

from spanhouse_alerts.samples import Request, Sample
from spanhouse_storage.state import open_state


@dataclass
class Received:
    """One post as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Far:
    """The network's far end: answers what `answer` says and remembers what came."""

    port: int
    received: list[Received] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = field(init=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer with this from now on; underscores in header names stand for dashes."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answer = answer


@pytest.fixture
def far() -> Iterator[Far]:
    """A real HTTP server on loopback; answers 200 unless told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            here.received.append(Received(self.path, dict(self.headers), self.rfile.read(length)))
            here.answer(self)

        def log_message(self, *_args: object) -> None:
            """Keep test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Far(server.server_port)
    here.answers(200)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def forward(self, **by: float) -> datetime:
        """Move on and return the new time."""
        self.now += timedelta(**by)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at noon UTC of 2026-11-20."""
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a real PostgreSQL server."""
    if why := missing():
        pytest.skip(why)
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty state database is, of each kind there is."""
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    return empty(request.getfixturevalue("server"))


@pytest.fixture
def state(state_url: str) -> Iterator[Engine]:
    """An open state database that is empty."""
    engine = open_state(state_url)
    yield engine
    engine.dispose()


class Figures:
    """Samples set by hand: per metric a list, or an exception to raise."""

    def __init__(self) -> None:
        self.by_metric: dict[str, Sequence[Sample] | Exception] = {}
        self.asked: list[Request] = []

    def read(self, request: Request) -> Sequence[Sample]:
        """Return what was set for the request's metric."""
        self.asked.append(request)
        found = self.by_metric.get(request.metric, [])
        if isinstance(found, Exception):
            raise found
        return found

    def ratio(self, metric: str, numerator: float, denominator: float, **labels: str) -> None:
        """Set a metric to one group's share."""
        value = numerator / denominator if denominator else None
        self.by_metric[metric] = [Sample(labels, value, numerator, denominator)]

    def total(self, metric: str, value: float, **labels: str) -> None:
        """Set a metric to one group's sum."""
        self.by_metric[metric] = [Sample(labels, value, value)]


@pytest.fixture
def figures() -> Figures:
    """Figures that are all empty at first."""
    return Figures()


@pytest.fixture
def unused_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
