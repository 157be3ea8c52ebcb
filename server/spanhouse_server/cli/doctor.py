"""``spanhouse doctor``: is the server well, and if not, what is to be done."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version

import click

from spanhouse.errors import ServerError
from spanhouse_server.cli import base
from spanhouse_server.diagnosis import Finding, Level, diagnose, unreachable

_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command()
@base.url_option
@base.json_option
def doctor(url: str, *, as_json: bool) -> None:
    """Check the server: versions, store, schema, journal, ledger, runs, prices, disks and clock.

    Ends with 1 where something fails; a warning is no failure.

    \b
    Example:  spanhouse doctor
    """
    findings = _findings(url)
    if as_json:
        base.print_json({"findings": [asdict(each) for each in findings]})
    else:
        for each in findings:
            _print(each)
    if any(each.level is Level.FAIL for each in findings):
        sys.exit(1)


def _findings(url: str) -> list[Finding]:
    before = datetime.now(UTC)
    try:
        system = base.client(url).system()
    except ServerError as error:
        return unreachable(url, str(error))
    return diagnose(system, program=version("spanhouse"), before=before, after=datetime.now(UTC))


def _print(found: Finding) -> None:
    level = click.style(f"{found.level.value:4}", fg=_COLORS[found.level], bold=True)
    click.echo(f"{level}  {found.check:18}  {base.clean(found.said)}")
    if found.todo:
        click.echo(f"      {'':18}  → {base.clean(found.todo)}")
