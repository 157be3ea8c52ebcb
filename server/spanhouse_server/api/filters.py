"""The run filters that lists, metrics, tools and exports share, as query parameters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Query

from spanhouse.filters import FilterError, Node, parse, resolved
from spanhouse.filters.fields import RUN_FIELDS
from spanhouse_server.api.parameters import nearest
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.times import window
from spanhouse_storage.reads import RunFilter

Many = Annotated[
    list[str] | None,
    Query(description="Repeat the parameter, or separate by commas, for any of several; a comma inside needs quotes"),
]
_VALUE = re.compile(r"\s*(?:\"((?:[^\"]|\"\")*)\"\s*(?=,|$)|([^,]*))(?:,|$)", re.DOTALL)


def values(given: list[str] | None) -> tuple[str, ...]:
    """Return the values of a parameter that may be repeated and separated by commas.

    A value in double quotes holds its commas, and a doubled quote stands for one.

    >>> values(['a,"b, c"', "d"])
    ('a', 'b, c', 'd')
    """
    matches = (match for text in given or () for match in _VALUE.finditer(text))
    found = (match[2] if match[1] is None else match[1].replace('""', '"') for match in matches)
    return tuple(value for value in found if value)


def _of(name: str, given: list[str] | None) -> tuple[str, ...]:
    """Return the values of a filter whose values may be a closed list; one that is not on it would match nothing."""
    wanted, known = values(given), RUN_FIELDS[name].choices
    for value in wanted:
        if known and value.partition(":")[0] not in known:
            detail = f"{name} is never {value[:100]!r}: {nearest(value, known)}"
            raise Problem(HTTPStatus.BAD_REQUEST, "A filter can match nothing", detail)
    return wanted


def expression(text: str, now: datetime) -> Node | None:
    """Return the condition a filter of the language stands for at this moment; None where it is empty.

    Raises:
        Problem: 400, with the reason, the filter, and a caret under the place.
    """
    if not text.strip():
        return None
    try:
        return resolved(parse(text), now)
    except FilterError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "The filter cannot be read", str(error)) from None


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
    completed: bool | None = None,
    complete: Annotated[bool | None, Query(description="All spans and audit events the SDK made are stored")] = None,
    text: Annotated[str, Query(description="A word of what was asked, answered or went wrong")] = "",
    filter: Annotated[str, Query(description="A condition in the filter language: docs/filters.md")] = "",  # noqa: A002 - the contract's name
    since: Annotated[str | None, Query(description="RFC 3339 time, or an age such as 24h")] = None,
    until: Annotated[str | None, Query(description="RFC 3339 time, or an age such as 1h")] = None,
) -> RunFilter:
    """Return the filter the query parameters ask for; nothing given means every run."""
    now = datetime.now(UTC)
    start, end = window(since, until, now)
    return RunFilter(
        tenant=values(tenant),
        environment=values(environment),
        agent=values(agent),
        agent_version=values(agent_version),
        model=values(model),
        status=_of("status", status),
        stop_reason=_of("stop_reason", stop_reason),
        outcome=_of("outcome", outcome),
        type=values(type),
        task=values(task),
        task_type=values(task_type),
        variant=values(variant),
        session_id=values(session_id),
        user_id=values(user_id),
        request_id=values(request_id),
        tool=values(tool),
        escalated=escalated,
        completed=completed,
        complete=complete,
        text=text,
        filter=expression(filter, now),
        since=start,
        until=end,
    )
