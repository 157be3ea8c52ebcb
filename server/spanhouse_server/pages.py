"""The pages made ready while the server already answers, for Streamlit takes half a second to import."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class LatePages:
    """An ASGI application that is made in the background; requests that come before wait for it.

    Args:
        make: returns the application, imports and all; called in a thread. Its ``lifespan()`` is entered on the loop.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; where the pages could not be made, with what was said then."""
        assert self._made is not None, "the lifespan has not begun"
        pages = await asyncio.shield(self._made)
        await pages(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, parent: ASGIApp) -> AsyncIterator[None]:
        """Make the pages ready beside the block, and take them down at its end."""
        self._made = asyncio.get_running_loop().create_future()
        ended = asyncio.Event()
        # One task enters the pages' lifespan and leaves it again, as cancel scopes want it.
        task = asyncio.create_task(self._live(parent, self._made, ended))
        try:
            yield
        finally:
            ended.set()
            await task

    async def _live(self, parent: ASGIApp, made: asyncio.Future[ASGIApp], ended: asyncio.Event) -> None:
        try:
            pages = await asyncio.to_thread(self._make)
            async with pages.lifespan()(parent):
                made.set_result(pages)
                await ended.wait()
        except Exception as error:
            log.exception("the pages cannot be shown; all else works")
            if not made.done():
                made.set_exception(error)
                # Told to whoever asks for a page, and in the log to those who do not.
                made.exception()
