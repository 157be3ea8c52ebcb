"""``spanhouse control``: what operators decide about runs under way. Needs the token of the server's data directory."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from spanhouse_server.cli import base
from spanhouse_server.control.details import LIMITS
from spanhouse_server.control.flags import Action, Scope

SCOPES = [scope.value for scope in Scope]


@click.group()
def control() -> None:
    """Stop, pause, disable or tighten runs, agents, tools, users or tenants from outside."""


_BY = click.option("--by", default=getpass.getuser, help="Who decides; the login name by default.")
_REASON = click.option("--reason", default="", help="Why; agents and the audit trail repeat it.")
_TTL = click.option("--ttl", "ttl_seconds", type=float, default=None, help="Seconds until the flag lifts itself.")
_TENANT = click.option("--tenant", default="", help="Only within this tenant.")
_DATA = click.option(
    "--data", envvar="SPANHOUSE_DATA", default=None, help="The server's data directory, which holds the operator token."
)
_WHOM = [
    click.argument("scope", type=click.Choice(SCOPES)),
    click.argument("target", required=False, default=""),
    _TENANT,
    _REASON,
    _BY,
    _TTL,
]
_LIMITS = [
    click.option("--max-usd", type=float, default=None, help="Dollars for model calls."),
    click.option("--max-tokens", type=int, default=None, help="Tokens of all model calls."),
    click.option("--max-steps", type=int, default=None, help="Turns of the loop."),
    click.option("--max-tool-calls", type=int, default=None, help="Tool calls."),
    click.option("--max-seconds", type=float, default=None, help="Seconds since the run began."),
]
_RUN = click.argument("run_id")
_RESOURCES = click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="ARGUMENT=GLOB",
    help="Only paths or URLs that match, in this argument of the call; repeatable.",
)
_TOOL = click.option("--tool", default="", help="Calls of this tool alone; the next call of any tool without it.")


def _decide(
    action: Action, doc: str, example: str, shape: Sequence[Callable[[Any], Any]], name: str = ""
) -> click.Command:
    def command(url: str, data: str | None, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's options
        decision = _decision(given)
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

    for part in reversed([*shape, _DATA, base.url_option, base.json_option]):
        command = part(command)
    return click.command(name or action.value, help=f"{doc}\n\n\\b\nExample:  {example}")(command)


def _decision(given: dict[str, Any]) -> dict[str, Any]:
    """Return what to send from a command's options: limits together, a run as scope and target."""
    limits = {name: given.pop(name) for name in LIMITS if name in given}
    if limits:
        given["limits"] = {name: value for name, value in limits.items() if value is not None}
        if not given["limits"]:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in LIMITS)
            msg = f"say which limit: one or more of {options}"
            raise click.UsageError(msg)
    if "run_id" in given:
        given |= {"scope": Scope.RUN.value, "target": given.pop("run_id")}
    if "resources" in given:
        given["resources"] = _resources(given.pop("resources")) or None
    if "arguments" in given:
        given["arguments"] = arguments_of(given["arguments"])
    return given


def _resources(texts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        argument, equals, glob = text.partition("=")
        if not (argument and equals and glob):
            msg = f"{text!r} is no resource: write the argument and a glob, such as path=/data/**"
            raise click.UsageError(msg)
        found.setdefault(argument, []).append(glob)
    return found


def arguments_of(text: str) -> dict[str, Any]:
    """Return the arguments of a call from a command line; raises ``UsageError`` for what is no JSON object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        msg = f"the arguments are no JSON: {error}"
        raise click.UsageError(msg) from error
    if not isinstance(found, dict):
        msg = "the arguments must be one JSON object, such as '{\"amount\": 5}'"
        raise click.UsageError(msg)
    return found


for _command in (
    _decide(
        Action.STOP,
        "End runs that match with operator_kill.",
        "spanhouse control stop tenant acme --reason 'runaway spend'",
        _WHOM,
    ),
    _decide(
        Action.DISABLE,
        "Refuse calls of a tool, agent, user or tenant.",
        "spanhouse control disable tool http.get --ttl 1800",
        _WHOM,
    ),
    _decide(
        Action.PAUSE,
        "Hold runs that match before their next call, until the flag is lifted.",
        "spanhouse control pause agent support --reason 'looking into it'",
        _WHOM,
    ),
    _decide(
        Action.TIGHTEN,
        "Lower limits of runs that match, those under way too, while the flag holds.",
        "spanhouse control tighten tenant acme --max-usd 0.10",
        [*_WHOM, *_LIMITS],
    ),
    _decide(
        Action.RAISE,
        "Raise limits of one run that is under way.",
        "spanhouse control raise RUN --max-usd 2",
        [_RUN, _TENANT, _REASON, _BY, *_LIMITS],
    ),
    _decide(
        Action.EDIT_NEXT,
        "Have the next tool call of a run made with other arguments (a JSON object); its policy judges them anew.",
        "spanhouse control edit-next RUN '{\"amount\": 5}' --tool refund",
        [_RUN, click.argument("arguments"), _TOOL, _TENANT, _REASON, _BY, _TTL],
        name="edit-next",
    ),
    _decide(
        Action.REFUSE_NEXT,
        "Refuse the next tool call of a run; its model is told the reason and goes on.",
        "spanhouse control refuse-next RUN --tool send_mail --reason 'wrong recipient'",
        [_RUN, _TOOL, _TENANT, _REASON, _BY, _TTL],
        name="refuse-next",
    ),
    _decide(
        Action.GRANT,
        "Let calls through for a time that a policy asks about or denies by default; never those a rule denies.",
        "spanhouse control grant user ann --tool write_file --resource path=/data/** --ttl 3600 --reason 'INC-7'",
        [*_WHOM, click.option("--tool", required=True, help="The tools it lets through; a glob."), _RESOURCES],
    ),
    _decide(Action.ENABLE, "Lift the flags in force for a target.", "spanhouse control enable tool http.get", _WHOM),
):
    control.add_command(_command)


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
        ["flag", "action", "scope", "target", "tenant", "says", "by", "reason", "until"],
        [
            [
                f["id"],
                f["action"],
                f["scope"],
                f["target"],
                f["tenant"],
                _says(f),
                f["by"],
                f["reason"],
                f["expires_at"],
            ]
            for f in answer["flags"]
        ],
    )
    if not answer["flags"]:
        click.echo("No flag is in force.")


def _says(flag: dict[str, Any]) -> str:
    """Return what a flag changes, in a word or two."""
    limits = [f"{name}={value:g}" for name, value in (flag["limits"] or {}).items()]
    return " ".join([*limits, flag["tool"] or "", json.dumps(flag["arguments"]) if flag["arguments"] else ""]).strip()
