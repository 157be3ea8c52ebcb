"""``spanhouse review``: what agents changed or were not sure of, and nobody has looked at yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from spanhouse_server.cli import base


@click.group()
def review() -> None:
    """The review list: updates and unsure decisions of agents, until somebody looks or their time is up."""


@review.command("list")
@click.option("--tenant", multiple=True, help="Only entries of this tenant; repeatable.")
@click.option("--run", "run_id", multiple=True, help="Only entries of this run id; repeatable.")
@click.option("--since", default="7d", show_default=True, help="RFC 3339 time, or an age such as 24h.")
@click.option("--all", "everything", is_flag=True, help="Also what was undone, kept, judged, or has had its time.")
@base.url_option
@base.json_option
def list_(url: str, run_id: tuple[str, ...], *, everything: bool, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - click's options
    """List what waits to be looked at, the newest first; updates with an undo can be taken back by their agent.

    \b
    Example:  spanhouse review list --tenant acme
    """
    api = base.call(lambda: base.client(url))
    events = base.call(lambda: list(api.iter_audit(name=["review"], **base.given(filters))))
    # Who looked at an entry is told by another run than made it, so that runs are picked from the entries.
    entries = [
        entry
        for entry in reviews(events, datetime.now(UTC))
        if (everything or entry["state"] == "open") and (not run_id or entry["run_id"] in run_id)
    ]
    if as_json:
        base.print_json({"reviews": entries})
        return
    base.table(
        ["time (UTC)", "tenant", "agent", "tool", "call", "state", "undo", "until (UTC)", "by", "run", "id"],
        [
            [
                base.when(entry["time"]),
                entry["tenant"],
                entry["agent"],
                entry["tool"] or "(decision)",
                entry["call_id"],
                entry["state"],
                "yes" if entry["undo"] else "no",
                base.when(entry["until"]),
                entry["by"],
                entry["run_id"],
                entry["review_id"],
            ]
            for entry in entries
        ],
    )
    if not entries:
        click.echo("Nothing waits to be looked at.")


def reviews(events: Iterable[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the entries of the review list that events make, the newest first.

    Args:
        events: ``review`` events of any order; of an entry's states the one that ends it holds.
        now: entries whose time ended before it are ``expired``.
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    ends: dict[tuple[str, str], Mapping[str, Any]] = {}
    for event in events:
        data = event["data"]
        key = (event["tenant"], data.get("review_id") or data.get("decision_id") or "")
        if not key[1]:
            continue
        if _state(data) == "open":
            entries[key] = {
                **{name: event[name] for name in ("time", "tenant", "agent", "run_id", "request_id", "tool")},
                **{name: data.get(name) for name in ("call_id", "action", "reversible", "undo", "until")},
                "review_id": key[1],
                "state": "open" if not data.get("until") or _time(data["until"]) > now else "expired",
                "by": None,
                "reason": None,
            }
        else:
            ends[key] = data
    for key, data in ends.items():
        if key in entries:
            entries[key] |= {"state": _state(data), "by": data.get("by"), "reason": data.get("reason")}
    return sorted(entries.values(), key=lambda entry: entry["time"], reverse=True)


def _state(data: Mapping[str, Any]) -> str:
    """Return the state a review event leaves its entry in; a decision's is told by whether it was right."""
    if data.get("state"):
        return str(data["state"])
    if data.get("correct") is None:
        return "open" if data.get("by") is None else "kept"
    return "right" if data["correct"] else "wrong"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
