"""The whole server in threads of this process, on a free loopback port, with its own data directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.support.process import free_port

from spanhouse.client import Client
from spanhouse_server.parts import Parts
from spanhouse_server.process import build, create_app
from spanhouse_server.settings import Settings

DRAIN_SECONDS = 60.0


@dataclass
class Served:
    """A running server: where it is, its parts, and its operator's token."""

    url: str
    data: Path
    parts: Parts
    http: httpx.Client

    @property
    def client(self) -> Client:
        """A client that carries the operator token."""
        return Client(self.url, token=self.parts.operator_token)

    def get(self, path: str, /, **query: Any) -> Any:
        """Return the decoded JSON of a GET that must succeed."""
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, path: str, code: int, /, **query: Any) -> dict[str, Any]:
        """Return the problem document of a GET that must be answered with ``code``."""
        return problem(self.http.get(path, params=query), code)

    def pages(self, path: str, key: str, /, **query: Any) -> list[dict[str, Any]]:
        """Return every row of a list, page by page."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.get(path, **query)
            rows += page[key]
            if not page["next_cursor"]:
                return rows
            query["cursor"] = page["next_cursor"]

    def drain(self) -> None:
        """Wait until all that was acknowledged is stored and computed."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            ready = self.get("/readyz")
            if not ready["pending_items"] and not ready["pending_traces"]:
                return
            time.sleep(0.05)
        raise AssertionError(ready)


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of an answer, which must have this status and the document's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["type"] == "about:blank"
    return document


@contextmanager
def serving(data: Path, **settings: Any) -> Iterator[Served]:
    """Serve until the block ends. Must be entered on the main thread, where the embedded store is opened."""
    port = free_port()
    parts = build(Settings(data=str(data), http=f"127.0.0.1:{port}", **{"ui": False, "grpc": "", **settings}))
    config = uvicorn.Config(
        create_app(parts), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        with httpx.Client(base_url=parts.settings.url, timeout=60) as http:
            served = Served(parts.settings.url, data, parts, http)
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield served
    finally:
        server.should_exit = True
        thread.join()
