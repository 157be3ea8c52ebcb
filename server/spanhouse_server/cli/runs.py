"""``spanhouse runs`` and ``spanhouse run``: the list, and one run step by step."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from spanhouse_server.cli import base


@click.command()
@base.filter_options
@click.option("--sort", default=None, help="A run field; a leading - for largest first.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Runs a page.")
@click.option("--cursor", help="The next_cursor of the page before.")
@base.url_option
@base.json_option
def runs(url: str, limit: int, cursor: str | None, *, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """List runs, newest first.

    \b
    Example:  spanhouse runs --filter 'stop_reason = max_usd and cost > 0.5' --since 24h
    """
    page = base.call(lambda: base.client(url).runs(limit=limit, cursor=cursor, **base.given(filters)))
    if as_json:
        base.print_json(page)
        return
    base.table(
        [
            "started (UTC)",
            "run",
            "agent",
            "model",
            "stop reason",
            "outcome",
            "seconds",
            "steps",
            "tools",
            "errors",
            "tokens",
            "usd",
        ],
        [
            [
                base.when(run["started_at"]),
                run["run_id"],
                run["agent"],
                run["model"],
                run["stop_reason"] or run["status"],
                run["outcome"],
                run["run_seconds"],
                run["steps"],
                run["tool_calls"],
                run["tool_errors"],
                total_tokens(run),
                run["cost_usd"],
            ]
            for run in page["runs"]
        ],
        right=["seconds", "steps", "tools", "errors", "tokens", "usd"],
    )
    if not page["runs"]:
        click.echo("No run matches. Send one, or widen the filter.")
    if page["next_cursor"]:
        click.echo(f"More: --cursor {page['next_cursor']}")


@click.command()
@click.argument("run_id")
@base.url_option
@base.json_option
def run(run_id: str, url: str, *, as_json: bool) -> None:
    """Show one run: how it ended, what it used, and each step.

    \b
    Example:  spanhouse run req-demo-max-usd
    """
    api = base.call(lambda: base.client(url))
    found = base.call(lambda: api.run(run_id))
    if as_json:
        base.print_json(found)
        return
    head(found)
    steps = base.call(lambda: api.steps(found["run_id"]))
    base.table(
        ["#", "kind", "what", "status", "ms", "tokens", "usd", "arguments", "error"],
        [
            [
                step["number"],
                step["kind"],
                step["tool"] or step["model"],
                "replayed" if step["replayed"] else step["decision"] if step["decision"] == "deny" else step["status"],
                step["ms"],
                total_tokens(step),
                step["cost_usd"],
                step["args_hash"],
                (step["error_message"] or "")[:60],
            ]
            for step in steps["steps"]
        ],
        right=["#", "ms", "tokens", "usd"],
    )
    click.echo(f"\n{url}/ui/run?run_id={quote(found['run_id'], safe='')}")


def head(run: dict[str, Any]) -> None:
    """Print a run's facts."""
    show = base.show
    agent = " ".join(base.clean(value) for value in (run["agent"], run["agent_version"]) if value)
    ended = f"{show(run['stop_reason'] or run['status'])} ({show(run['stop_reason_source'])})"
    work = ", ".join(
        f"{show(run[field])} {label}"
        for field, label in (
            ("steps", "steps"),
            ("model_calls", "model calls"),
            ("tool_calls", "tool calls"),
            ("tool_errors", "failed"),
            ("policy_denials", "denied"),
            ("loops", "loops"),
        )
    )
    facts = [
        ["request", run["request_id"]],
        ["agent", agent],
        ["ended", f"{ended}; outcome {show(run['outcome'])}"],
        ["when", f"{base.when(run['started_at'])} UTC, {base.seconds(run['run_seconds'])}"],
        ["work", work],
        ["used", f"{show(total_tokens(run))} tokens, {show(run['cost_usd'])} usd ({show(run['cost_source'])})"],
        ["who", f"tenant {show(run['tenant'])}, user {show(run['user_id'])}, session {show(run['session_id'])}"],
        ["record", f"{_held(run, 'spans')} spans, {_held(run, 'audit')} audit events"],
    ]
    base.table(["run", run["run_id"]], facts)
    click.echo()


def _held(run: dict[str, Any], kind: str) -> str:
    return f"{run[f'{kind}_stored']} of {base.show(run[f'{kind}_expected'])}"


def total_tokens(row: dict[str, Any]) -> int | None:
    """Return input plus output tokens, or None where neither is known."""
    if row["input_tokens"] is None and row["output_tokens"] is None:
        return None
    return int(row["input_tokens"] or 0) + int(row["output_tokens"] or 0)
