"""``spanhouse audit verify``: is the trail what it was? Told by this machine, from what the server gives and copies."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from spanhouse.client import Client
from spanhouse.errors import ConfigurationError, ServerError
from spanhouse_server.audit import reading, signing
from spanhouse_server.audit.reading import Copies
from spanhouse_server.audit.signing import PublicKey
from spanhouse_server.audit.verifying import Report, Verification
from spanhouse_server.audit.vouched import CHECKPOINTS, vouched
from spanhouse_server.cli import base

FLAWED, UNKNOWN = 1, 2
_SHOWN = 20


@click.command("verify")
@click.option("--tenant", help="Only this tenant; without it, every tenant.")
@click.option("--run", "run_id", help="Only the events of this run.")
@click.option(
    "--checkpoints",
    "copied",
    type=click.Path(path_type=Path, exists=True),
    help="Checkpoints copied elsewhere, a file or a directory (SPANHOUSE_AUDIT_ANCHOR); believed before the server.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Public keys in PEM to trust; else those beside the copies, else those the server gives.",
)
@base.url_option
@base.json_option
def verify(
    url: str, tenant: str | None, run_id: str | None, copied: Path | None, key_file: Path | None, *, as_json: bool
) -> None:
    """Read the audit trail and tell whether something of it was changed, is missing, or was put in.

    Ends with 0 where all is whole, 1 where something is wrong, 2 where it cannot be told.

    \b
    Example:  spanhouse audit verify --tenant acme --checkpoints checkpoints.jsonl
    """
    try:
        copies = reading.copies(copied) if copied else Copies()
        anchors = reading.public_keys(key_file) if key_file else copies.keys
        reports = _reports(base.client(url), tenant, run_id, copies, anchors)
    except (ServerError, ConfigurationError) as error:
        base.fail(base.clean(error), code=UNKNOWN)
    problems = list(copies.broken)
    if run_id is not None:
        reports = [each for each in reports if each.events or any(f.stream == run_id for f in each.flaws)] or reports
    nothing = not any(each.events or each.flaws for each in reports)
    if as_json:
        result = _result(reports, problems, nothing=nothing)
        base.print_json({"result": result, "problems": problems, "tenants": [each.as_json() for each in reports]})
    else:
        for each in reports:
            _print(each)
        for problem in problems:
            click.secho(base.clean(problem), fg="red")
        if nothing:
            what = f"run {run_id}" if run_id else f"tenant {tenant}" if tenant else "the server"
            click.echo(
                f"There is no audit event of {base.clean(what)}, and no checkpoint has one: nothing can be told."
            )
    sys.exit({"whole": 0, "flawed": FLAWED, "unknown": UNKNOWN}[_result(reports, problems, nothing=nothing)])


def _reports(
    client: Client, tenant: str | None, run_id: str | None, copies: Copies, anchors: list[PublicKey]
) -> list[Report]:
    said = client.audit_checkpoints()
    known = [PublicKey.of_json(key) for key in said["keys"]]
    # Without anybody else's word the server's keys are all there is to go by.
    keys = signing.trusted(anchors or known, [*copies.keys, *known])
    tenants = {each["checkpoint"]["tenant"] for each in said["checkpoints"]}
    tenants = {tenant} if tenant else {*tenants, *copies.by_tenant, *client.facets()["tenant"]}
    return [_report(client, each, run_id, copies, keys) for each in sorted(tenants)]


def _report(client: Client, tenant: str, run_id: str | None, copies: Copies, keys: dict[str, PublicKey]) -> Report:
    # Checkpoints and runs first, events last: what came meanwhile is more than they say, never less.
    vouch = vouched(reading.own_checkpoints(client, tenant), copies.by_tenant.get(tenant, []), keys)
    only = None if run_id is None else frozenset({run_id})
    found = Verification(tenant, vouch, reading.expected(client, tenant, run_id), only, datetime.now(UTC))

    def tell(done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{base.clean(tenant)}: {done:,} of {total:,} events", nl=False, err=True)

    for stream, rows in reading.streams(client, tenant, run_id, tell):
        found.stream(stream, rows)
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", nl=False, err=True)
    return found.report()


def _result(reports: list[Report], problems: list[str], *, nothing: bool) -> str:
    results = {each.result for each in reports}
    if problems or "flawed" in results:
        return "flawed"
    return "unknown" if nothing or "unknown" in results else "whole"


def _print(report: Report) -> None:
    color = {"whole": "green", "flawed": "red", "unknown": "yellow"}[report.result]
    said = report.checkpoints
    click.secho(f"{base.clean(report.tenant)}: {report.result}", fg=color, bold=True)
    click.echo(f"  {report.events:,} events in {report.streams:,} streams")
    if said["count"]:
        beyond = f", {said['outside']:,} of them also in the copy" if said["outside"] else ""
        click.echo(
            f"  {said['count']:,} checkpoints{beyond}; the last is {said['last']} of {base.when(said['last_at'])}"
        )
    for flaw in report.flaws[:_SHOWN]:
        place = f"checkpoint {flaw.seq}" if flaw.stream == CHECKPOINTS else f"{flaw.stream} event {flaw.seq}"
        click.secho(base.clean(f"  {flaw.kind.value}: {place}: {flaw.detail}"), fg="red")
    _more(len(report.flaws), "flaws")
    if report.uncovered and said["count"]:
        click.echo(f"  {report.uncovered:,} events are newer than the checkpoints: only their chain speaks for them")
    _told("do not chain: a change of theirs does not show", report.unchained)
    _told("have lost events to retention, as checkpoints say", report.removed)
    _told("have bodies that were erased", _numbered(report.erased))
    _told("have bodies of which secrets were cut out on the way", _numbered(report.redacted))
    for note in report.notes[:_SHOWN]:
        click.secho(base.clean(f"  note: {note}"), fg="yellow")
    _more(len(report.notes), "notes")


def _told(what: str, streams: list[str]) -> None:
    if streams:
        named = ", ".join(streams[:3]) + (" …" if len(streams) > 3 else "")  # noqa: PLR2004 - enough to look at one
        click.echo(base.clean(f"  {len(streams):,} streams {what}: {named}"))


def _numbered(found: dict[str, list[Any]]) -> list[str]:
    return [f"{stream} ({len(numbers)})" for stream, numbers in found.items()]


def _more(count: int, what: str) -> None:
    if count > _SHOWN:
        click.echo(f"  and {count - _SHOWN:,} {what} more; --json has them all")
