"""``spanhouse triage``: one screen that answers what happened to a request."""

from __future__ import annotations

from typing import Any

import click

from spanhouse_server.cli import base
from spanhouse_server.cli.runs import head


@click.command()
@click.argument("request_id")
@base.url_option
@base.json_option
def triage(request_id: str, url: str, *, as_json: bool) -> None:
    """Answer what happened to a request: what was asked, why it stopped, every tool call and policy decision.

    REQUEST_ID may also be a run, trace or session id.

    \b
    Example:  spanhouse triage req-demo-max-usd
    """
    answer = base.call(lambda: base.client(url).triage(request_id))
    if as_json:
        base.print_json(answer)
        return
    runs = "1 run" if len(answer["runs"]) == 1 else f"{len(answer['runs'])} runs"
    click.echo(f"{runs} matched {base.clean(answer['query'])} as {answer['matched_by']}\n")
    for found in answer["runs"]:
        _print(found, url)


def _print(found: dict[str, Any], url: str) -> None:
    head(found["run"])
    click.echo(f"asked     {_line(found['asked'])}")
    click.echo(f"answered  {_line(found['answered'])}\n")
    base.table(
        ["budget", "used", "limit", "share"],
        [_limit(name, row) for name, row in (found["budget"] or {}).items()] or [["none set", None, None, None]],
        right=["used", "limit", "share"],
    )
    click.echo()
    _calls(found["tool_calls"])
    click.echo()
    _decisions(found["policy_decisions"])
    failing = found["first_failing_step"]
    if failing:
        what = base.show(failing["tool"] or failing["model"])
        why = _line(failing["error_message"] or _status(failing))
        click.echo(f"\nfirst failing step: {base.show(failing['number'])} ({what}): {why}")
    click.echo(f"\n{url}{found['link']}\n")


def _calls(calls: list[dict[str, Any]]) -> None:
    if not calls:
        click.echo("no tool calls")
        return
    base.table(
        ["#", "tool call", "arguments", "ms", "status", "error"],
        [[s["number"], s["tool"], s["args_hash"], s["ms"], _status(s), (s["error_message"] or "")[:70]] for s in calls],
        right=["#", "ms"],
    )


def _decisions(decisions: list[dict[str, Any]]) -> None:
    if not decisions:
        click.echo("no policy decisions")
        return
    base.table(
        ["policy decision", "tool", "arguments", "rule", "time (UTC)"],
        [
            [e["decision"], e["tool"], e["args_hash"], (e["data"] or {}).get("rule"), base.when(e["time"])]
            for e in decisions
        ],
    )


def _status(step: dict[str, Any]) -> str:
    if step["replayed"]:
        return "replayed"
    return "denied" if step["decision"] == "deny" else str(step["status"])


def _limit(name: str, row: object) -> list[object]:
    """Return a budget's line; what an agent reports need not be a pair of numbers."""
    pair = row if isinstance(row, dict) else {"used": row}
    used, limit = pair.get("used"), pair.get("limit")
    share = (
        f"{used / limit:.0%}" if isinstance(used, int | float) and isinstance(limit, int | float) and limit else None
    )
    return [name, used, limit, share]


def _line(text: str | None) -> str:
    short = " ".join(base.clean(text).split()) if text else base.UNKNOWN
    return short if len(short) <= 160 else short[:159] + "…"  # noqa: PLR2004 - about two lines of a terminal
