"""``spanhouse filters``: what a filter can name, and whether one can be read."""

from __future__ import annotations

import click

from spanhouse.filters import FilterError, parse, written
from spanhouse.filters.fields import FIGURES, RUN_FIELDS, SPAN_FIELDS
from spanhouse.filters.reference import rows
from spanhouse_server.cli import base


@click.command()
@click.argument("text", required=False)
@click.option("--spans", is_flag=True, help="The fields of span(…) instead of those of runs.")
def filters(text: str | None, *, spans: bool) -> None:
    """List what a filter can name; with a filter check it and print its canonical form. Asks no server.

    \b
    Example:  spanhouse filters 'cost > $0.50 and tool("http.get").errors > 2'
    """
    if text is None:
        for name, aliases, kind, meaning in rows((SPAN_FIELDS if spans else RUN_FIELDS).values()):
            click.echo(f"{name:<20} {aliases:<20} {kind:<13} {meaning}")
        for function, figures in FIGURES.items():
            click.echo(f'{function}("name").{"|".join(figures)}')
        click.echo('score("name")   attr("key")   span(condition)')
        return
    try:
        click.echo(base.clean(written(parse(text))))
    except FilterError as error:
        base.fail(base.clean(error))
