"""``spanhouse sessions``: conversations, and one of them turn by turn."""

from __future__ import annotations

from typing import Any

import click

from spanhouse_server.cli import base
from spanhouse_server.cli.runs import total_tokens


@click.command()
@click.argument("session", required=False)
@base.filter_options
@click.option("--sort", default=None, help="last_at, first_at, runs, cost_usd or tokens; - before it: largest first.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Sessions a page.")
@click.option("--cursor", help="The next_cursor of the page before.")
@base.url_option
@base.json_option
def sessions(
    session: str | None,
    url: str,
    sort: str | None,
    limit: int,
    cursor: str | None,
    *,
    as_json: bool,
    **filters: Any,  # noqa: ANN401 - click's options
) -> None:
    """List sessions, the latest first; with an id show that one turn by turn.

    \b
    Example:  spanhouse sessions --filter 'cost > 0.1' --since 7d
    """
    if session:
        _one(url, session, filters, as_json=as_json)
        return
    asked = {"sort": sort, "limit": limit, "cursor": cursor, **base.given(filters)}
    page = base.call(lambda: base.client(url).sessions(**asked))
    if as_json:
        base.print_json(page)
        return
    base.table(
        ["last (UTC)", "session", "tenant", "runs", "completed", "tokens", "usd", "users", "last ended by"],
        [
            [
                base.when(row["last_at"]),
                row["session_id"],
                row["tenant"],
                row["runs"],
                row["completed"],
                total_tokens(row),
                row["cost_usd"],
                row["users"],
                row["last_stop_reason"] or row["last_status"],
            ]
            for row in page["sessions"]
        ],
        right=["runs", "completed", "tokens", "usd"],
    )
    if not page["sessions"]:
        click.echo("No session matches. Name one with session_id= in a run, or widen the filter.")
    if page["next_cursor"]:
        click.echo(f"More: --cursor {page['next_cursor']}")


def _one(url: str, session_id: str, filters: dict[str, Any], *, as_json: bool) -> None:
    others = sorted(name for name in base.given(filters) if name != "tenant")
    tenants = filters["tenant"]
    if others or len(tenants) > 1:
        base.fail(f"a session is shown whole: leave out --{(others or ['tenant'])[0].replace('_', '-')}", code=2)
    tenant = next(iter(tenants), None)
    found = base.call(lambda: base.client(url).session(session_id, tenant=tenant))
    if as_json:
        base.print_json(found)
        return
    session = found["session"]
    used = f"{base.show(total_tokens(session))} tokens, {base.show(session['cost_usd'])} usd"
    base.table(
        ["session", session["session_id"]],
        [
            ["tenant", session["tenant"]],
            ["when", f"{base.when(session['first_at'])} to {base.when(session['last_at'])} UTC"],
            ["runs", f"{session['runs']}, {session['completed']} completed"],
            ["used", used],
            ["users", session["users"]],
        ],
    )
    click.echo()
    for turn in found["turns"]:
        run = turn["run"]
        click.echo(f"{base.when(run['started_at'])}  {base.clean(run['run_id'])}  {base.clean(_end(run))}")
        click.echo(f"  asked     {base.line(turn['asked'])}")
        click.echo(f"  answered  {base.line(turn['answered'])}")


def _end(run: dict[str, Any]) -> str:
    return str(run["stop_reason"] or run["status"])
