"""``spanhouse reprocess``: normalise stored spans again, and show how far that is."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from spanhouse_server.cli import base

POLL_SECONDS: Final = 0.5


@click.command()
@click.option("--since", required=True, help="Spans that started since: an RFC 3339 time, or an age such as 24h.")
@click.option("--until", help="Spans that started before: an RFC 3339 time, or an age such as 1h.")
@click.option("--tenant", default="", help="Only this tenant's spans.")
@click.option("--no-wait", is_flag=True, help="Start the job and return.")
@click.option(
    "--data",
    envvar="SPANHOUSE_DATA",
    default=None,
    help="The server's data directory, which holds the operator token.",
)
@base.url_option
@base.json_option
def reprocess(
    url: str, data: str | None, since: str, until: str | None, tenant: str, *, no_wait: bool, as_json: bool
) -> None:
    """Normalise stored spans and log records again, after a mapping was mended by an upgrade.

    Spans that come out otherwise replace what was stored; their runs are computed anew. Safe to repeat.

    \b
    Example:  spanhouse reprocess --since 7d
    """
    client = base.client(url, operator=True, data=data)
    job = base.call(lambda: client.reprocess(since, until=until, tenant=tenant))
    while job["state"] == "running" and not no_wait:
        time.sleep(POLL_SECONDS)
        _show(job)
        found = base.call(client.reprocessing)
        if found is None or found["id"] != job["id"]:
            base.fail("the server was restarted and the job with it; start it again")
        job = found
    if as_json:
        base.print_json(job)
    else:
        click.echo(_said(job))
    if job["state"] in {"failed", "stopped"}:
        sys.exit(1)


def _show(job: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{_said(job)}", nl=False, err=True)


def _said(job: dict[str, Any]) -> str:
    text = f"{job['state']}: {job['done']:,} of {job['spans']:,} spans normalised again, {job['changed']:,} changed"
    if job["logs"]:
        text += f"; {job['logs_done']:,} of {job['logs']:,} log records read again"
    return f"{text}; {base.clean(job['error'])}" if job["error"] else text
