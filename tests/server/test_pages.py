"""The pages are made beside a server that answers already."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from spanhouse_server.pages import LatePages


class Pages:
    """An application with a lifespan, as Streamlit's."""

    def __init__(self) -> None:
        self.lived: list[str] = []

    def lifespan(self) -> object:
        @asynccontextmanager
        async def enter(_parent: ASGIApp) -> AsyncIterator[None]:
            self.lived.append("began")
            yield
            self.lived.append("ended")

        return enter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("a page")(scope, receive, send)


def _app(pages: LatePages) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/readyz", lambda: "yes")
    app.mount("/ui", pages)
    return app


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://spanhouse")


@pytest.mark.anyio
async def test_the_server_answers_while_the_pages_are_made_and_who_asks_for_one_waits() -> None:
    may_go_on, made = threading.Event(), Pages()

    def make() -> Pages:
        may_go_on.wait()
        return made

    pages = LatePages(make)
    app = _app(pages)
    async with _client(app) as client, pages.lifespan(app):
        assert (await client.get("/readyz")).status_code == 200
        assert made.lived == []
        may_go_on.set()
        assert (await client.get("/ui/")).text == "a page"
        assert made.lived == ["began"]
    assert made.lived == ["began", "ended"]


@pytest.mark.anyio
async def test_pages_that_cannot_be_made_stop_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Pages:
        msg = "no module named streamlit"
        raise ImportError(msg)

    pages = LatePages(make)
    app = _app(pages)
    with caplog.at_level(logging.ERROR):
        async with _client(app) as client, pages.lifespan(app):
            with pytest.raises(ImportError, match="streamlit"):
                await client.get("/ui/")
            assert (await client.get("/readyz")).status_code == 200
    assert "the pages cannot be shown" in caplog.text
