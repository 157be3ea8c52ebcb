"""``spanhouse tail``: runs as they start, change and end."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import click

from spanhouse_server.cli import base


@click.command()
@base.filter_options
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; without it, when interrupted.")
@base.url_option
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
def tail(url: str, seconds: float | None, *, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """Print runs as they start, change and end.

    \b
    Example:  spanhouse tail --filter 'agent = support-agent or cost > 0.1' --seconds 2
    """
    with suppress(KeyboardInterrupt):
        base.call(lambda: _print_all(url, seconds, base.given(filters), as_json=as_json))


def _print_all(url: str, seconds: float | None, filters: dict[str, Any], *, as_json: bool) -> None:
    for event in base.client(url).tail(seconds=seconds, **filters):
        if as_json:
            click.echo(base.unsteering(json.dumps(event, ensure_ascii=False)))
        elif "run" in event:
            click.echo(base.clean(_line(event["event"], event["run"])))
        else:
            click.echo(f"{event['skipped']} changes left out: this terminal reads too slowly", err=True)
        sys.stdout.flush()


def _line(kind: str, run: dict[str, Any]) -> str:
    at = base.when(run["ended_at"] or run["started_at"])
    cells = [at, f"{kind:<6}", run["run_id"], base.show(run["agent"]), base.show(run["stop_reason"] or run["status"])]
    figures = [f"{base.show(run['steps'])} steps", f"{base.show(run['tool_calls'])} tools"]
    return "  ".join([*cells, *figures, base.seconds(run["run_seconds"]), f"{base.show(run['cost_usd'])} usd"])
