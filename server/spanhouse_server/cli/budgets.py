"""``spanhouse budgets``: what is left of the budgets that agents share, and whether their file can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spanhouse.errors import ConfigurationError
from spanhouse_server.cli import base

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--store", "store_url", help="Read this store (an SQLAlchemy URL) and not the server's.")
@click.option("--file", type=FILE, help="The budgets that limit what is in --store.")
@click.option("--all", "every", is_flag=True, help="Those of requests, runs and past days too.")
@click.option("--tenant", help="Only this tenant's.")
@base.url_option
@base.json_option
@click.pass_context
def budgets(
    context: click.Context,
    store_url: str | None,
    file: Path | None,
    tenant: str | None,
    url: str,
    *,
    every: bool,
    as_json: bool,
) -> None:
    """List shared budgets with their use, the fullest first.

    \b
    Example:  spanhouse budgets
              spanhouse budgets --store sqlite:///budgets.db --file budgets.yaml
              spanhouse budgets check budgets.yaml
    """
    if context.invoked_subcommand is not None:
        return
    if (store_url is None) != (file is None):
        msg = "--store and --file go together: what was spent, and what limits it"
        raise click.UsageError(msg)
    if store_url is None or file is None:
        rows = base.call(lambda: base.client(url).budgets(every=every, tenant=tenant))["budgets"]
    else:
        rows = [row for row in _of_store(store_url, file, every=every) if tenant in {None, row["tenant"]}]
    if as_json:
        base.print_json({"budgets": rows})
        return
    base.table(
        ["scope", "tenant", "user", "holder", "window (UTC)", "budget", "limit", "used", "held", "share"],
        [
            [
                *(row[key] for key in ("scope", "tenant", "user", "holder", "window", "budget", "limit", "used")),
                *_rest(row),
            ]
            for row in rows
        ],
        right=["limit", "used", "held", "share"],
    )
    if not rows:
        click.echo("Nothing was drawn on any budget in force." if every else "Nothing was drawn on any budget today.")


@budgets.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Check a budgets file; exit code 1 where it cannot be used.

    \b
    Example:  spanhouse budgets check budgets.yaml
    """
    from spanhouse_runtime.budgets import load_budgets  # noqa: PLC0415 - pulls in SQLAlchemy

    try:
        found = load_budgets(file)
    except ConfigurationError as error:
        base.fail(base.clean(error))
    click.echo(f"{file}: no problems in {len(found)} budgets")


def _rest(row: dict[str, Any]) -> list[object]:
    return [row["reserved"], None if row["share"] is None else f"{row['share']:.0%}"]


def _of_store(url: str, file: Path, *, every: bool) -> list[dict[str, Any]]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - only for those who ask a store

    from spanhouse_runtime.budgets import BudgetStore, load_budgets  # noqa: PLC0415 - the same

    try:
        store = BudgetStore(url, load_budgets(file))
        try:
            return [row.as_json() for row in store.uses(every=every)]
        finally:
            store.close()
    except ConfigurationError as error:
        base.fail(base.clean(error))
    except SQLAlchemyError as error:
        base.fail(f"the store of budgets cannot be read: {type(error).__name__}; is --store an SQLAlchemy URL?")
