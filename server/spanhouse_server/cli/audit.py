"""``spanhouse audit``: what the control layer decided, event by event, and whether it still says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from spanhouse.audit import json_schemas
from spanhouse.client import Client
from spanhouse_server.audit.reading import own_checkpoints
from spanhouse_server.cli import base
from spanhouse_server.cli.audit_verify import verify

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


@audit.command("checkpoints")
@click.option("--tenant", help="Only this tenant's; without it, every tenant's.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write them to this file, one a line.")
@base.url_option
@base.json_option
def checkpoints(url: str, tenant: str | None, out: Path | None, *, as_json: bool) -> None:
    """Show the last signed checkpoint of each tenant, or write all of them to a file that you keep elsewhere.

    \b
    Example:  spanhouse audit checkpoints --out checkpoints.jsonl
    """
    client = base.client(url)
    newest = base.call(client.audit_checkpoints)
    shown = [each for each in newest["checkpoints"] if tenant in {None, each["checkpoint"]["tenant"]}]
    if out is not None:
        try:
            count = base.call(lambda: _write(client, [each["checkpoint"]["tenant"] for each in shown], out))
        except OSError as error:
            base.fail(f"{out} cannot be written: {error.strerror}")
        click.echo(f"{count:,} checkpoints of {len(shown):,} tenants are in {out}")
        return
    if as_json:
        base.print_json({**newest, "checkpoints": shown})
        return
    base.table(
        ["tenant", "number", "time (UTC)", "streams", "events", "key"],
        [
            [
                each["tenant"],
                each["number"],
                base.when(each["time"]),
                len(each["heads"]),
                each["events"],
                each["key_id"],
            ]
            for each in (signed["checkpoint"] for signed in shown)
        ],
        right=["number", "streams", "events"],
    )
    if not shown:
        click.echo("There is no checkpoint yet: the first is made a minute after the first audit event.")


@audit.command("schema")
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print the JSON Schema of every audit event's own fields, or of one.

    \b
    Example:  spanhouse audit schema tool.call
    """
    known = json_schemas()
    if name is not None and name not in known:
        base.fail(f"no audit event is called {base.clean(name)}; there are {', '.join(known)}", code=2)
    base.print_json(known if name is None else known[name])


@audit.command("rotate-key")
@click.option("--data", envvar="SPANHOUSE_DATA", help="The server's data directory, where the operator token is.")
@base.url_option
@base.json_option
def rotate_key(url: str, data: str | None, *, as_json: bool) -> None:
    """Replace the key that signs checkpoints; the old one vouches for it, and what it signed stays good.

    \b
    Example:  spanhouse audit rotate-key
    """
    key = base.call(lambda: base.client(url, operator=True, data=data).rotate_audit_key())
    if as_json:
        base.print_json(key)
        return
    click.echo(f"Checkpoints are signed with key {key['key_id']} from now on; {key['certified_by']} vouches for it.")
    click.echo(key["public_key"].strip())


def _write(client: Client, tenants: list[str], out: Path) -> int:
    count = 0
    draft = out.with_name(f"{out.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        for tenant in tenants:
            for signed in own_checkpoints(client, tenant):
                file.write(f"{signed.line()}\n")
                count += 1
    draft.replace(out)
    return count


audit.add_command(verify)
