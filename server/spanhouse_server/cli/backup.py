"""``spanhouse backup`` and ``spanhouse restore``: a server in one file, and a server made of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from spanhouse.errors import SpanhouseError
from spanhouse_server import settings as settings_module
from spanhouse_server.cli import base

_BLOCK: Final = 1 << 20


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data", envvar="SPANHOUSE_DATA", default=None, help="The server's data directory.")
@click.option("--offline", is_flag=True, help="Read the data directory of a server that does not run.")
@base.url_option
@base.json_option
def backup(url: str, out: Path, data: str | None, *, offline: bool, as_json: bool) -> None:
    """Write the whole server to a file: store, state, keys, policy, rules.

    The server may run and take records meanwhile. Whatever it acknowledged before is in the backup. Keep the file as
    you keep passwords: it holds the operator token and all content.

    \b
    Example:  spanhouse backup monday.tar
    """
    if out.exists():
        base.fail(f"{out} exists already: name another file; nothing is overwritten", code=2)
    part = out.with_name(f"{out.name}.part")
    try:
        with _opened(url, data, offline=offline) as blocks:
            _write(part, blocks)
        manifest = _checked(part)
        part.replace(out)
    except OSError as error:
        base.fail(f"{out} cannot be written: {error.strerror or error}")
    finally:
        part.unlink(missing_ok=True)
    _report(manifest, out.stat().st_size, f"backup of {manifest['as_of']} in {out}", as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Directory to restore into; empty, or not there yet.")
@click.option("--check", is_flag=True, help="Only check that the backup is whole and unchanged.")
@base.json_option
def restore(file: Path, into: Path | None, *, check: bool, as_json: bool) -> None:
    """Make a data directory of a backup, every file and table checked; then start it with `spanhouse up --data`.

    \b
    Example:  spanhouse restore monday.tar --check
              spanhouse restore monday.tar --into ./restored
    """
    from spanhouse_server.backup import restoring  # noqa: PLC0415 - the engine, which other commands do not need

    if (into is None) != check:
        base.fail("say where to with --into DIR, or --check to only look", code=2)
    try:
        found = restoring.check(file, _show) if into is None else restoring.restore(file, into, _show)
    except SpanhouseError as error:
        base.fail(base.clean(error))
    except OSError as error:
        base.fail(f"{error.filename or into}: {error.strerror or error}")
    said = f"{file} is whole" if into is None else f"restored into {into}; start it with: spanhouse up --data {into}"
    _report(_told(found), file.stat().st_size, said, as_json=as_json)
    others = {name: value for name, value in found.settings.items() if name not in {"data", "http", "grpc"}}
    if others and into is not None and not as_json:
        named = ", ".join(f"{name}={base.clean(value)}" for name, value in others.items())
        click.echo(f"  the server was started with {named}", err=True)


@contextmanager
def _opened(url: str, data: str | None, *, offline: bool) -> Iterator[Iterable[bytes]]:
    if not offline:
        client = base.client(url, operator=True, data=data)
        with closing(base.call(client.backup)) as answer:
            yield answer.iter_content(_BLOCK)
        return
    from spanhouse_server.backup.making import Backup, Source  # noqa: PLC0415 - the engine
    from spanhouse_storage.opening import open_store  # noqa: PLC0415 - the same

    try:
        settings = settings_module.load({"data": data})
        if not settings.data_dir.is_dir():
            base.fail(f"there is no data directory {settings.data_dir}: name it with --data", code=2)
        with closing(open_store(settings.store_url)) as store:
            source = Source(store, settings, online=False, as_of=datetime.now(UTC))
            with Backup(source) as made:
                yield made
    except SpanhouseError as error:
        base.fail(base.clean(error))


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    import requests  # noqa: PLC0415 - known to the client alone

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        try:
            for block in blocks:
                file.write(block)
        except requests.RequestException as error:
            base.fail(f"the server broke off after {file.tell():,} bytes ({base.clean(error)}); nothing was kept")
        file.flush()
        os.fsync(file.fileno())


def _checked(path: Path) -> dict[str, Any]:
    from spanhouse_server.backup import restoring  # noqa: PLC0415 - the engine

    try:
        return _told(restoring.check(path, _show))
    except SpanhouseError as error:
        base.fail(f"{base.clean(error)}; nothing was kept")


def _told(manifest: Any) -> dict[str, Any]:  # noqa: ANN401 - imported by the commands that have one
    return {
        "as_of": manifest.as_of,
        "spanhouse_version": manifest.spanhouse_version,
        "schema": manifest.schema,
        "tables": {table.name: table.rows for table in manifest.tables},
        "notes": manifest.notes,
    }


def _show(done: int, of: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done:,} of {of:,} files checked", nl=done == of, err=True)


def _report(told: dict[str, Any], size: int, said: str, *, as_json: bool) -> None:
    if as_json:
        base.print_json({**told, "bytes": size})
        return
    tables = ", ".join(f"{rows:,} {name}" for name, rows in told["tables"].items() if rows)
    click.echo(f"{said}: {size / 1e6:,.1f} MB, rows with their versions: {tables or 'none'}")
    for note in told["notes"]:
        click.echo(f"  {base.clean(note)}", err=True)
