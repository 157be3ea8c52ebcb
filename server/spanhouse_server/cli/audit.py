"""``spanhouse audit``: what the control layer decided, event by event."""

from __future__ import annotations

import json
from typing import Any

import click

from spanhouse_server.cli import base

SHOWN_DATA = 100


@click.group()
def audit() -> None:
    """The audit trail: what agents did and what was decided about them."""


@audit.command("list")
@click.option("--run", "run_id", multiple=True, help="Only events of this run id; repeatable.")
@click.option("--request", "request_id", multiple=True, help="Only events of this request id; repeatable.")
@click.option("--name", multiple=True, help="Only events of this name, such as policy.decision; repeatable.")
@click.option("--tenant", multiple=True, help="Only events of this tenant; repeatable.")
@click.option("--since", help="RFC 3339 time, or an age such as 24h; without it, all time.")
@click.option("--until", help="RFC 3339 time, or an age such as 1h.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="Events a page.")
@click.option("--cursor", help="The next_cursor of the page before.")
@base.url_option
@base.json_option
def list_(url: str, limit: int, cursor: str | None, *, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """List audit events in the order they happened.

    \b
    Example:  spanhouse audit list --name policy.decision --since 24h
    """
    page = base.call(lambda: base.client(url).audit(limit=limit, cursor=cursor, **base.given(filters)))
    if as_json:
        base.print_json(page)
        return
    base.table(
        ["time (UTC)", "event", "run", "seq", "agent", "tool", "said", "ms", "fields"],
        [
            [
                base.when(event["time"]),
                event["name"],
                event["run_id"] or event["stream"],
                event["seq"],
                event["agent"],
                event["tool"],
                event["decision"] or event["status"],
                event["duration_ms"],
                json.dumps(event["data"], ensure_ascii=False)[:SHOWN_DATA],
            ]
            for event in page["events"]
        ],
        right=["seq", "ms"],
    )
    if not page["events"]:
        click.echo("No audit event matches.")
    if page["next_cursor"]:
        click.echo(f"More: --cursor {page['next_cursor']}")
