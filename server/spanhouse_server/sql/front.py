"""The endpoint on a port of its own, beside the server in the same process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from spanhouse.errors import ConfigurationError
from spanhouse_server.api.hosts import LoopbackNamesOnly
from spanhouse_server.http_protocol import PatientHttp
from spanhouse_server.keys.guard import Guard
from spanhouse_server.settings import host_of, is_loopback
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.sql.endpoint import Endpoint
from spanhouse_storage.contract import Store

BACKLOG: Final = 128


class SqlFront:
    """Serves ClickHouse's HTTP protocol until it is stopped.

    Args:
        address: `host:port`; port 0 takes a free one.
        store: the store, of all tenants.
        door: the way in.
        guard: who may what.
        allow_remote: whether something else guards the address, so that it may be called by other names.
    """

    def __init__(self, address: str, store: Store, door: SqlDoor, guard: Guard, *, allow_remote: bool = False) -> None:
        self.address = address
        app = Endpoint(store, door, guard).app()
        if is_loopback(host_of(address)) and not allow_remote:
            app.add_middleware(LoopbackNamesOnly)
        config = uvicorn.Config(app, http=PatientHttp, lifespan="off", log_config=None, access_log=False)
        self._server = _Beside(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            ConfigurationError: the address is taken or cannot be used.
        """
        listener = _bound(self.address)
        # It listens before it answers, so nobody who comes in between is turned away.
        listener.listen(BACKLOG)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """End, once what is being answered is."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def check_free(address: str) -> None:
    """Return if the address can be listened on.

    Raises:
        ConfigurationError: it is taken or cannot be used.
    """
    _bound(address).close()


def _bound(address: str) -> socket.socket:
    host, port = host_of(address), int(address.rpartition(":")[2])
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        msg = f"cannot serve on {address} ({error.strerror}); choose another with --sql-http 127.0.0.1:PORT"
        raise ConfigurationError(msg) from error
    return listener


class _Beside(uvicorn.Server):
    """Uvicorn that leaves the process's signals to the server it runs beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield
