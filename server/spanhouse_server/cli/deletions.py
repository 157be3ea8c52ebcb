"""``spanhouse delete`` and ``spanhouse retention``: what goes on request, and what goes by itself."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from spanhouse_server.cli import base

POLL_SECONDS: Final = 0.5
_KINDS: Final = ("content", "spans", "logs", "metrics", "scores", "runs", "audit")


def _data_option(command: base.F) -> base.F:
    text = "The server's data directory, which holds the operator token."
    return click.option("--data", envvar="SPANHOUSE_DATA", default=None, help=text)(command)


@click.command()
@click.option("--tenant", default="default", show_default=True, help="Within this tenant.")
@click.option("--user", default="", help="Everything of this user.")
@click.option("--request-id", default="", help="Everything of this request.")
@click.option("--run-id", default="", help="Everything of this run.")
@click.option("--session", default="", help="Everything of this session.")
@click.option("--reason", default="", help="Why, for the receipt.")
@click.option("--yes", is_flag=True, help="Delete; without it only what would go is shown.")
@click.option("--receipt", type=click.Path(dir_okay=False, path_type=Path), help="Write the receipt to this file.")
@click.option("--no-wait", is_flag=True, help="Return once the deletion has begun.")
@_data_option
@base.url_option
@base.json_option
def delete(
    url: str, data: str | None, *, yes: bool, no_wait: bool, receipt: Path | None, as_json: bool, **wanted: str
) -> None:
    """Delete everything of a user, a request, a run or a session, and print the receipt.

    \b
    Example:  spanhouse delete --tenant acme --user ada@example.org
              spanhouse delete --tenant acme --user ada@example.org --yes
    """
    client = base.client(url, operator=True, data=data)
    given = {name: value for name, value in wanted.items() if value}
    answer = base.call(lambda: client.delete_records(**given, dry_run=not yes))
    if not yes:
        _show_plan(answer["plan"], as_json=as_json)
        return
    found: dict[str, Any] = answer["deletion"]
    while found["state"] not in {"done", "failed"} and not no_wait:
        time.sleep(POLL_SECONDS)
        found = base.call(partial(client.deletion, found["id"]))
    if receipt is not None and found["receipt"]:
        receipt.write_text(json.dumps(found["receipt"], indent=2) + "\n")
    if as_json:
        base.print_json(found)
    elif found["receipt"]:
        base.print_json(found["receipt"])
    else:
        click.echo(f"deletion {found['id']} is {found['state']}; see it with 'spanhouse deletions {found['id']}'")
    if found["state"] == "failed":
        sys.exit(1)


@click.command()
@click.argument("deletion_id", required=False)
@_data_option
@base.url_option
@base.json_option
def deletions(url: str, data: str | None, deletion_id: str | None, *, as_json: bool) -> None:
    """List deletions, or print one with its receipt.

    \b
    Example:  spanhouse deletions
    """
    client = base.client(url, operator=True, data=data)
    if deletion_id:
        base.print_json(base.call(lambda: client.deletion(deletion_id)))
        return
    found = base.call(client.deletions)
    if as_json:
        base.print_json({"deletions": found})
        return
    rows = [
        [
            each["id"],
            each["state"],
            each["tenant"],
            each["kind"],
            sum(each["before"].values()),
            base.when(each["requested_at"]),
        ]
        for each in found
    ]
    base.table(["id", "state", "tenant", "of a", "rows", "requested"], rows, right=["rows"])


@click.group()
def retention() -> None:
    """See how long records are kept; the policy file says it (docs/retention.md)."""


@retention.command("list")
@_data_option
@base.url_option
@base.json_option
def list_(url: str, data: str | None, *, as_json: bool) -> None:
    """Show how long each kind of record is kept, for everybody and by tenant.

    \b
    Example:  spanhouse retention list
    """
    client = base.client(url, operator=True, data=data)
    rows = base.call(client.retention)
    if as_json:
        base.print_json({"retention": rows})
        return
    base.table(["tenant", *_KINDS], [[row["tenant"] or "(default)", *(row[kind] for kind in _KINDS)] for row in rows])


def _show_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        base.print_json({"plan": plan})
        return
    if not plan["tables"]:
        click.echo(f"nothing is stored of this {plan['kind']} in tenant {base.clean(plan['tenant'])}")
        return
    base.table(["table", "rows"], [[name, rows] for name, rows in plan["tables"].items()], right=["rows"])
    for what, count in plan["shared_with"].items():
        click.echo(f"{count:,} other {what} stand in the same traces, and traces go whole")
    click.echo("nothing was deleted: say --yes to delete it")
