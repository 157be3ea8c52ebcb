"""Uvicorn's HTTP, but who closed their half is still answered, and who never finishes a head is hung up on."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PatientHttp(HttpToolsProtocol):
    """One connection; for `uvicorn.Config(http=PatientHttp)`.

    Attributes:
        head_seconds: time a request's line and headers may take; without a bound, connections that say nothing would
            use up the process's file descriptors.
    """

    head_seconds: ClassVar[float] = 30.0
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the first bytes of a next request begin the wait for the rest of its head."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        # An upgraded connection belongs to another protocol from now on.
        if between and self._head is None and self.transport.get_protocol() is self:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Wait no more: the request's body and answer have bounds of their own."""
        self._head_came()
        super().on_headers_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override] # uvicorn gives up at once
        """Return whether to stay for the answer: a sender may close its half once it has sent all of a request."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
