"""The run filters that lists, metrics, tools and exports share, as query parameters."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Query

from spanhouse_server.api.answers import moment
from spanhouse_server.api.problems import Problem
from spanhouse_storage.reads import RunFilter

Many = Annotated[list[str] | None, Query(description="Repeat the parameter, or separate by commas, for any of several")]


def _values(given: list[str] | None) -> tuple[str, ...]:
    return tuple(value for text in given or () for value in text.split(",") if value)


def run_filter(
    tenant: Many = None,
    environment: Many = None,
    agent: Many = None,
    agent_version: Many = None,
    model: Many = None,
    status: Annotated[list[str] | None, Query(description="running or ended")] = None,
    stop_reason: Annotated[list[str] | None, Query(description="A stop code, or code:subject")] = None,
    outcome: Annotated[list[str] | None, Query(description="success, failure or unknown")] = None,
    type: Annotated[list[str] | None, Query(description="agent, workflow or call")] = None,  # noqa: A002 - the contract's name
    task: Many = None,
    task_type: Many = None,
    variant: Many = None,
    session_id: Many = None,
    user_id: Many = None,
    request_id: Many = None,
    tool: Annotated[list[str] | None, Query(description="Runs that called one of these tools")] = None,
    escalated: bool | None = None,
    text: Annotated[str, Query(description="A word of what was asked or answered")] = "",
    since: Annotated[str | None, Query(description="RFC 3339 time, or an age such as 24h")] = None,
    until: Annotated[str | None, Query(description="RFC 3339 time, or an age such as 1h")] = None,
) -> RunFilter:
    """Return the filter the query parameters ask for; nothing given means every run."""
    now = datetime.now(UTC)
    start, end = moment(since, "since", now), moment(until, "until", now)
    if start and end and start > end:
        detail = f"since ({start.isoformat()}) is after until ({end.isoformat()}); swap them"
        raise Problem(HTTPStatus.BAD_REQUEST, "The window is empty", detail)
    return RunFilter(
        tenant=_values(tenant),
        environment=_values(environment),
        agent=_values(agent),
        agent_version=_values(agent_version),
        model=_values(model),
        status=_values(status),
        stop_reason=_values(stop_reason),
        outcome=_values(outcome),
        type=_values(type),
        task=_values(task),
        task_type=_values(task_type),
        variant=_values(variant),
        session_id=_values(session_id),
        user_id=_values(user_id),
        request_id=_values(request_id),
        tool=_values(tool),
        escalated=escalated,
        text=text,
        since=start,
        until=end,
    )
