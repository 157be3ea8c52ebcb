"""``spanhouse up`` and ``spanhouse demo``: the server itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import click
import uvicorn

from spanhouse.errors import ConfigurationError, SpanhouseError
from spanhouse_server import settings as settings_module
from spanhouse_server.cli import base
from spanhouse_server.http_protocol import PatientHttp
from spanhouse_server.keys.auth import Auth
from spanhouse_server.parts import Parts
from spanhouse_server.settings import Role, Settings, host_of, is_loopback

F = TypeVar("F", bound=Callable[..., Any])
BACKLOG = 2048


def settings_options(command: F) -> F:
    """Add one flag a setting, from the settings table."""
    for row in reversed(settings_module.table()):
        text = f"{row.meaning}. [env: {row.env}; default: {row.default or 'empty'}]"
        command = click.option(row.flag, row.name, default=None, metavar="VALUE", help=text)(command)
    return command


@click.command()
@settings_options
def up(**flags: str | None) -> None:
    """Start Spanhouse: OTLP in, API and dashboards out, one process.

    \b
    Example:  spanhouse up --http 127.0.0.1:4318 --data ./spanhouse-data
    """
    listener, settings = bind(load_settings(flags))
    with listener:
        serve(settings, listener)


@click.command()
@settings_options
def collector(**flags: str | None) -> None:
    """Start a collector alone: OTLP in, nothing else; several may write to one ClickHouse.

    \b
    Example:  spanhouse collector --store clickhouse://… --state postgresql+psycopg://… --collector 1
    """
    listener, settings = bind(load_settings({**flags, "role": Role.COLLECTOR.value}))
    with listener:
        serve(settings, listener)


@click.command()
@settings_options
def server(**flags: str | None) -> None:
    """Start a server beside collectors: API, dashboards and, on one server at a time, the jobs.

    \b
    Example:  spanhouse server --store clickhouse://… --state postgresql+psycopg://…
    """
    listener, settings = bind(load_settings({**flags, "role": Role.SERVER.value}))
    with listener:
        serve(settings, listener)


@click.command()
@settings_options
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=1, show_default=True, help="How often the live agents play."
)
@click.option(
    "--history-days", type=click.IntRange(0, 60), default=7, show_default=True, help="Days of sample history."
)
def demo(rounds: int, history_days: int, **flags: str | None) -> None:
    """Start Spanhouse, load a week of sample runs and play live demo agents; needs no key and no network.

    \b
    Example:  spanhouse demo
    """
    from spanhouse_server.demo import Demo  # noqa: PLC0415 - the runtime is needed by the demo alone

    listener, settings = bind(load_settings(flags))
    with listener, Demo(settings, rounds=rounds, history_days=history_days) as shown:
        serve(shown.settings, listener, beside=shown)


def load_settings(flags: dict[str, str | None]) -> Settings:
    """Return the settings, or end with the one that cannot be used."""
    try:
        settings = settings_module.load(flags)
    except ConfigurationError as error:
        base.fail(str(error), code=2)
    addresses = settings.http, settings.grpc, settings.sql_http
    exposed = next((each for each in addresses if each and not is_loopback(host_of(each))), None)
    if exposed and not settings.allow_remote and not _asks_for_keys(settings):
        base.fail(
            f"{exposed} can be reached from other machines and no key is asked for: make the first one with "
            f"`spanhouse keys create --offline --data {settings.data_dir} --tenant …`, say --auth on, "
            "or say --allow-remote true if something else guards it",
            code=2,
        )
    return settings


def _asks_for_keys(settings: Settings) -> bool:
    from spanhouse_server.keys.table import all_keys  # noqa: PLC0415 - a database, needed beyond loopback alone
    from spanhouse_storage.state import open_state  # noqa: PLC0415 - the same

    if settings.auth != Auth.AUTO:
        return settings.auth == Auth.ON
    state = open_state(settings.state_url)
    try:
        return bool(all_keys(state))
    finally:
        state.dispose()


def bind(settings: Settings) -> tuple[socket.socket, Settings]:
    """Return the listening socket and the settings with its port, or end with one sentence where the port is taken.

    It listens at once: the port is ours before the seconds of start, and who calls meanwhile is answered after them.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        base.fail(
            f"cannot serve on {settings.http} ({error.strerror}); choose another address with --http 127.0.0.1:PORT"
        )
    host, _, _ = settings.http.rpartition(":")
    return listener, replace(settings, http=f"{host}:{listener.getsockname()[1]}")


def serve(settings: Settings, listener: socket.socket, beside: Beside | None = None) -> None:
    """Run the server until it is told to stop.

    Args:
        settings: the settings.
        listener: bound socket.
        beside: what plays beside the server.
    """
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Uvicorn hands a signal on once all has been stopped in order; then, as before it took over, it means: end quietly.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            _run(settings, listener, beside)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(settings: Settings, listener: socket.socket, beside: Beside | None) -> None:
    from spanhouse_server.process import build, create_app  # noqa: PLC0415 - seconds of imports, after the port is ours

    try:
        parts = build(settings)
    except ConfigurationError as error:
        base.fail(str(error), code=2)
    except SpanhouseError as error:
        base.fail(str(error))
    config = uvicorn.Config(
        create_app(parts),
        http=PatientHttp,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=65,
        backlog=BACKLOG,
    )
    # Streamlit gives this logger a handler when it likes, and the address of a login may hold a key.
    logging.getLogger("uvicorn.access").disabled = True
    _Server(config, parts, announce=lambda: _announce(parts), beside=beside).run(sockets=[listener])


def _announce(parts: Parts) -> None:
    settings = parts.settings
    asked = parts.guard.enforced()
    # The link opens the pages once: what a log keeps of it is worth nothing.
    page = f"/ui-login?token={parts.guard.sessions.ticket()}" if asked else "/ui"
    click.echo(f"Spanhouse is up: {settings.url}{page if settings.ui else ''}")
    click.echo(f"  OTLP/HTTP  {settings.url}/v1/traces   API  {settings.url}/docs   data  {settings.data_dir}")
    if settings.grpc:
        click.echo(f"  OTLP/gRPC  {settings.grpc}")
    if settings.sql_http:
        click.echo(f"  ClickHouse {settings.sql_http}")


class Beside(Protocol):
    """What plays beside a server, as its client."""

    def start(self) -> None:
        """Begin, and return at once; the server answers."""

    def stop(self) -> None:
        """End within a second or two; the server still answers, for the last time."""


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers."""

    def __init__(
        self, config: uvicorn.Config, parts: Parts, announce: Callable[[], None], beside: Beside | None
    ) -> None:
        super().__init__(config)
        self._parts = parts
        self._announce = announce
        self._beside = beside

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
            if self._beside is not None:
                self._beside.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._beside is not None:
            await asyncio.to_thread(self._beside.stop)
        # Answers without an end would hold up the stop until they are cut off.
        await self._parts.tail.close()
        await super().shutdown(sockets)
