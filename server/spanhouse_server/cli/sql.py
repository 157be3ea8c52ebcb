"""``spanhouse sql``: one SELECT over the tables."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console

from spanhouse_server.cli import base


@click.command()
@click.argument("statement", required=False)
@click.option("--tables", is_flag=True, help="Show the tables, with a sentence for each column.")
@click.option("--table", "named", multiple=True, help="With --tables: only this table; repeatable.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of {NAME:Type}; repeatable.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a line of names instead of a table.")
@click.option("--data", envvar="SPANHOUSE_DATA", help="The server's data directory, which holds the operator token.")
@base.url_option
@base.json_option
def sql(
    url: str,
    statement: str | None,
    named: tuple[str, ...],
    parameters: tuple[str, ...],
    data: str | None,
    *,
    tables: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Run one SELECT over spans, runs, steps and the other tables; - reads it from standard input.

    \b
    Example:  spanhouse sql "SELECT agent, count() FROM runs FINAL GROUP BY agent"
    """
    api = base.call(lambda: base.client(url, operator=True, data=data))
    if tables:
        _show_tables(base.call(api.sql_tables)["tables"], named, as_json=as_json)
        return
    text = sys.stdin.read() if statement == "-" else statement
    if not text:
        base.fail('no statement: spanhouse sql "SELECT …", or spanhouse sql --tables for what there is', code=2)
    values = dict(_parameter(one) for one in parameters)
    progress = Console(stderr=True)
    with progress.status("running") if progress.is_terminal else _Quiet():
        answer = base.call(lambda: api.sql_csv(text, values) if as_csv else api.sql(text, values))
    if as_csv:
        click.echo(answer, nl=False)
    elif as_json:
        base.print_json(answer)
    else:
        _show_rows(answer)


class _Quiet:
    """Where nobody looks, nothing turns."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        base.fail(f"--param {text!r} has no value: write NAME=VALUE", code=2)
    return name, value


def _show_rows(answer: dict[str, Any]) -> None:
    headings = [f"{column['name']} ({column['type']})" for column in answer["columns"]]
    numbers = [
        heading for heading, column in zip(headings, answer["columns"], strict=True) if _is_number(column["type"])
    ]
    base.table(headings, answer["rows"], right=numbers)
    read = "" if answer["rows_read"] is None else f", {answer['rows_read']:,} rows read"
    click.echo(f"{answer['row_count']:,} rows{read}, {base.seconds(answer['seconds'])}", err=True)


def _is_number(type_: str) -> bool:
    return type_.removeprefix("Nullable(").startswith(("UInt", "Int", "Float", "Decimal"))


def _show_tables(found: list[dict[str, Any]], named: tuple[str, ...], *, as_json: bool) -> None:
    chosen = [table for table in found if not named or table["name"] in named]
    if not chosen:
        base.fail(f"there is no table {', '.join(named)}: the tables are {', '.join(t['name'] for t in found)}")
    if as_json:
        base.print_json({"tables": chosen})
        return
    for table in chosen:
        click.echo(f"\n{table['name']}: {table['meaning']}\n")
        rows = [[column["name"], column["type"], column["meaning"]] for column in table["columns"]]
        base.table(["column", "type", "meaning"], rows)
