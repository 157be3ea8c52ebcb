"""``spanhouse approvals``: what agents ask, and the answers. Needs the token of the server's data directory."""

from __future__ import annotations

import getpass
import json
from typing import Any

import click

from spanhouse.client import Client
from spanhouse_server.approvals.table import State
from spanhouse_server.cli import base
from spanhouse_server.cli.control import arguments_of

_SHOWN_ARGUMENTS = 200

_DATA = click.option(
    "--data", envvar="SPANHOUSE_DATA", default=None, help="The server's data directory, which holds the operator token."
)
_BY = click.option("--by", default=getpass.getuser, help="Who answers; the login name by default.")
_REASON = click.option("--reason", default="", help="Why; the agent and the audit trail repeat it.")


@click.group()
def approvals() -> None:
    """What agents ask before they act, and your answers."""


@approvals.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), default=State.WAITING.value)
@click.option("--all", "every", is_flag=True, help="Of every state.")
@_DATA
@base.url_option
@base.json_option
def list_(url: str, data: str | None, state: str, *, every: bool, as_json: bool) -> None:
    """List the questions that wait for an answer, oldest first.

    \b
    Example:  spanhouse approvals list
    """
    found = base.call(lambda: _operator(url, data).approvals(state=state, every=every))
    if as_json:
        base.print_json({"approvals": found})
        return
    base.table(
        ["id", "state", "tenant", "agent", "run", "asks for", "why", "waits s", "until", "by"],
        [
            [
                each["id"],
                each["state"],
                each["tenant"],
                each["agent"],
                each["run_id"],
                _asks(each),
                each["why"],
                round(each["seconds"]),
                each["expires_at"],
                each["by"],
            ]
            for each in found
        ],
    )
    if not found:
        click.echo("No question waits." if state == State.WAITING and not every else "There is none.")


@approvals.command()
@click.argument("approval_id")
@click.option("--arguments", default="", help="Other arguments to make the call with, as a JSON object.")
@click.option("--text", default="", help="The answer, where an agent asks for a text.")
@_REASON
@_BY
@_DATA
@base.url_option
@base.json_option
def approve(approval_id: str, arguments: str, text: str, **rest: Any) -> None:  # noqa: ANN401 - click's options
    """Let a call be made as it is shown, or with other arguments; or answer a question for a text.

    \b
    Example:  spanhouse approvals approve apr_x --reason 'known customer'
    """
    _answer(
        approval_id, approved=True, arguments=arguments_of(arguments) if arguments else None, text=text or None, **rest
    )


@approvals.command()
@click.argument("approval_id")
@_REASON
@_BY
@_DATA
@base.url_option
@base.json_option
def deny(approval_id: str, **rest: Any) -> None:  # noqa: ANN401 - click's options
    """Refuse a call; the agent's model is told the reason.

    \b
    Example:  spanhouse approvals deny apr_x --reason 'wrong customer'
    """
    _answer(approval_id, approved=False, **rest)


def _answer(approval_id: str, *, url: str, data: str | None, as_json: bool, **said: Any) -> None:  # noqa: ANN401
    api = _operator(url, data)
    # What is answered is what the server shows now; the answer holds for these arguments alone.
    shown = base.call(lambda: api.approval(approval_id))
    done = base.call(lambda: api.answer_approval(approval_id, args_hash=shown["args_hash"], **said))
    if as_json:
        base.print_json(done)
        return
    click.echo(f"{done['state']} after {done['seconds']:.1f} s: {_asks(shown)}")


def _operator(url: str, data: str | None) -> Client:
    api: Client = base.call(lambda: base.client(url, operator=True, data=data))
    return api


def _asks(approval: dict[str, Any]) -> str:
    """Return what is asked for in a line, without control characters."""
    if approval["kind"] == "input":
        return base.clean(approval["question"] or "")
    shown = json.dumps(approval["arguments"], ensure_ascii=False) if approval["arguments"] is not None else ""
    return base.clean(f"{approval['tool']} {shown}"[:_SHOWN_ARGUMENTS].strip())
