"""``spanhouse feedback``: a thumb, a score or a correction of one run."""

from __future__ import annotations

import getpass
from typing import Any

import click

from spanhouse_server.cli import base


@click.command()
@click.argument("run_id")
@click.option("--up", "thumbs", flag_value="up", help="It was good.")
@click.option("--down", "thumbs", flag_value="down", help="It was not.")
@click.option("--correction", default=None, help="What it should have been.")
@click.option("--name", default=None, help="Name of a score of your own, with --value or --label.")
@click.option("--value", type=float, default=None)
@click.option("--label", default=None)
@click.option("--span", "span_id", default=None, help="One span of the run alone.")
@click.option("--comment", default=None)
@click.option("--by", default=getpass.getuser, help="Who says so; the login name by default.")
@base.url_option
@base.json_option
def feedback(run_id: str, url: str, *, as_json: bool, **said: Any) -> None:  # noqa: ANN401 - click's options
    """Say how good a run was, by its run or request id.

    \b
    Example:  spanhouse feedback req-demo-max-usd --down --comment 'wrong customer'
    """
    api = base.call(lambda: base.client(url))
    run = base.call(lambda: api.run(run_id))
    given = base.call(lambda: api.give_feedback(run_id=run["run_id"], **said))
    if as_json:
        base.print_json(given)
        return
    what = " ".join(base.clean(given[name]) for name in ("name", "label", "value") if given[name] is not None)
    click.echo(f"{what}: noted of run {given['run_id']}")
