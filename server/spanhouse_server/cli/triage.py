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
    click.echo(f"{len(answer['runs'])} run(s) matched {base.clean(answer['query'])} as {answer['matched_by']}\n")
    for found in answer["runs"]:
        _print(found, url)


def _print(found: dict[str, Any], url: str) -> None:
    head(found["run"])
    click.echo(f"asked     {_line(found['asked'])}")
    click.echo(f"answered  {_line(found['answered'])}\n")
    budget = found["budget"] or {}
    base.table(
        ["budget", "used", "limit", "share"],
        [[name, row["used"], row["limit"], _share(row)] for name, row in budget.items()]
        or [["none set", None, None, None]],
        right=["used", "limit", "share"],
    )
    click.echo()
    base.table(
        ["#", "tool call", "arguments", "ms", "status", "error"],
        [
            [s["number"], s["tool"], s["args_hash"], s["ms"], _status(s), (s["error_message"] or "")[:70]]
            for s in found["tool_calls"]
        ],
        right=["#", "ms"],
    )
    click.echo()
    base.table(
        ["policy decision", "tool", "arguments", "rule", "time"],
        [
            [e["decision"], e["tool"], e["args_hash"], (e["data"] or {}).get("rule"), base.when(e["time"])]
            for e in found["policy_decisions"]
        ],
    )
    failing = found["first_failing_step"]
    if failing:
        what = base.show(failing["tool"] or failing["model"])
        why = _line(failing["error_message"] or _status(failing))
        click.echo(f"\nfirst failing step: {failing['number']} ({what}): {why}")
    click.echo(f"\n{url}{found['link']}\n")


def _status(step: dict[str, Any]) -> str:
    if step["replayed"]:
        return "replayed"
    return "denied" if step["decision"] == "deny" else str(step["status"])


def _share(row: dict[str, Any]) -> str | None:
    return f"{row['used'] / row['limit']:.0%}" if row.get("limit") else None


def _line(text: str | None) -> str:
    short = " ".join(base.clean(text).split()) if text else base.UNKNOWN
    return short if len(short) <= 160 else short[:159] + "…"  # noqa: PLR2004 - about two lines of a terminal
