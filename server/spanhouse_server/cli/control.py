"""``spanhouse control``: stop, disable, enable, list. Needs the operator token of the server's data directory."""

from __future__ import annotations

import getpass
from typing import Any

import click

from spanhouse_server.cli import base
from spanhouse_server.control.flags import Action, Scope

SCOPES = [scope.value for scope in Scope]


@click.group()
def control() -> None:
    """Stop or disable runs, agents, tools, users or tenants from outside."""


def _decide(action: Action, doc: str, example: str) -> click.Command:
    @click.command(action.value, help=f"{doc}\n\n\\b\nExample:  {example}")
    @click.argument("scope", type=click.Choice(SCOPES))
    @click.argument("target", required=False, default="")
    @click.option("--tenant", default="", help="Only within this tenant.")
    @click.option("--reason", default="", help="Why; agents and the audit trail repeat it.")
    @click.option("--by", default=getpass.getuser, help="Who decides; the login name by default.")
    @click.option("--ttl", "ttl_seconds", type=float, default=None, help="Seconds until the flag lifts itself.")
    @click.option(
        "--data",
        envvar="SPANHOUSE_DATA",
        default=None,
        help="The server's data directory, which holds the operator token.",
    )
    @base.url_option
    @base.json_option
    def command(url: str, data: str | None, *, as_json: bool, **decision: Any) -> None:  # noqa: ANN401 - click's options
        api = base.call(lambda: base.client(url, operator=True, data=data))
        held = base.call(api.control)["flags"]
        flag = base.call(lambda: api.set_control(action=action.value, **decision))
        if as_json:
            base.print_json(flag)
            return
        what = f"{flag['scope']} {base.clean(flag['target'] or '')}".strip()
        if action is Action.ENABLE:
            lifted = [str(f["id"]) for f in held if all(f[k] == flag[k] for k in ("scope", "target", "tenant"))]
            click.echo(f"{what}: lifted flag {', '.join(lifted)}" if lifted else f"{what}: no flag was in force")
            return
        until = f" until {flag['expires_at']}" if flag["expires_at"] else ""
        click.echo(f"{flag['action']} {what}: in force{until}, flag {flag['id']}")

    return command


control.add_command(
    _decide(
        Action.STOP,
        "End runs that match with operator_kill.",
        "spanhouse control stop tenant acme --reason 'runaway spend'",
    )
)
control.add_command(
    _decide(
        Action.DISABLE,
        "Refuse calls of a tool, agent, user or tenant.",
        "spanhouse control disable tool http.get --ttl 1800",
    )
)
control.add_command(
    _decide(Action.ENABLE, "Lift the flags in force for a target.", "spanhouse control enable tool http.get")
)


@control.command("list")
@base.url_option
@base.json_option
def list_(url: str, *, as_json: bool) -> None:
    """List the flags in force.

    \b
    Example:  spanhouse control list
    """
    answer = base.call(lambda: base.client(url).control())
    if as_json:
        base.print_json(answer)
        return
    base.table(
        ["flag", "action", "scope", "target", "tenant", "by", "reason", "until"],
        [
            [f["id"], f["action"], f["scope"], f["target"], f["tenant"], f["by"], f["reason"], f["expires_at"]]
            for f in answer["flags"]
        ],
    )
    if not answer["flags"]:
        click.echo("No flag is in force.")
