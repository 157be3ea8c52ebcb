"""Which runs are meant: the one filter that lists, metrics and alerts share, compiled to a parameterised condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from spanhouse.filters import SIMPLE_FLAGS, SIMPLE_TEXTS, SIMPLE_WORDS, Node, all_of, expression_of, mentions
from spanhouse_storage import sql
from spanhouse_storage.reads.expressions import Bound, Conditions
from spanhouse_storage.reads.times import nanos

Texts: TypeAlias = str | tuple[str, ...] | list[str]
"""One wanted value, or several of which any will do; empty means no wanted."""

LONE_CALL = "call"
"""Run type of a single model, tool or embedding call outside any agent; left out unless a filter is about `type`."""

_EARLIER: Final = 3_600
"""Seconds that a span's clock may be before that of its run, for a read to find it."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Conditions on runs, all of which must hold; an empty one holds always.

    The fields before `filter` stand for conditions of the filter language (`spanhouse.filters`, docs/filters.md) on the
    field of that name. `filter` is any other condition, its ages resolved. `since` is inclusive, `until` exclusive.
    """

    tenant: Texts = ""
    environment: Texts = ""
    agent: Texts = ""
    agent_version: Texts = ""
    model: Texts = ""
    status: Texts = ""
    stop_reason: Texts = ""
    outcome: Texts = ""
    type: Texts = ""
    task: Texts = ""
    task_type: Texts = ""
    variant: Texts = ""
    session_id: Texts = ""
    user_id: Texts = ""
    request_id: Texts = ""
    tool: Texts = ""
    escalated: bool | None = None
    completed: bool | None = None
    complete: bool | None = None
    text: str = ""
    filter: Node | None = None
    since: datetime | None = None
    until: datetime | None = None

    def expression(self) -> Node | None:
        """Return the filter but for its window as one condition; None where it holds always."""
        simple = expression_of({name: getattr(self, name) for name in (*SIMPLE_TEXTS, *SIMPLE_FLAGS, *SIMPLE_WORDS)})
        return all_of(part for part in (simple, self.filter) if part is not None)


_OF_STEPS: Final = (
    "tenant",
    "environment",
    "user_id",
    "agent",
    "agent_version",
    "task_type",
    "variant",
    "model",
    "tool",
)


def where(
    wanted: RunFilter, prefix: str = "", *, time: str = "started_at", lone_calls: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return a condition on the table `runs` and its parameters.

    `prefix` qualifies the columns (`"runs."`) and keeps parameter names apart when two filters meet in one statement.
    `time` is the column that `since` and `until` bound: `started_at` or `ended_at`. `lone_calls` keeps runs of type
    `call` where the filter is not about types. The condition is never empty.
    """
    bound = Bound(prefix)
    expression = wanted.expression()
    parts = []
    if expression is not None:
        # Steps and spans repeat the run's times, so a window keeps the inner reads as narrow as the outer one.
        conditions = Conditions(
            bound,
            prefix,
            runs_bound=_time_bound(time, bound, wanted),
            steps_bound=_time_bound(f"run_{time}", bound, wanted),
            spans_bound=_spans_bound(time, bound, wanted),
        )
        parts.append(conditions.of(expression))
    if not lone_calls and (expression is None or not mentions(expression, "type")):
        parts.append(f"{prefix}type != '{LONE_CALL}'")
    parts.append(_time_bound(f"{prefix}{time}", bound, wanted))
    return " AND ".join(parts), bound.parameters


def where_steps(wanted: RunFilter) -> tuple[str, dict[str, Any]]:
    """Return a condition on the table `steps`: calls that ended in the filter's window, of the runs that are meant.

    `model` and `tool` mean those of the call. Lone calls are among them: they cost what other calls cost.
    """
    bound = Bound("step.")
    parts = []
    for name in (*_OF_STEPS, "type"):
        values = values_of(getattr(wanted, name))
        if values:
            column = "run_type" if name == "type" else name
            parts.append(f"{column} IN {bound.named(name, 'Array(String)', values)}")
    held: dict[str, Any] = dict.fromkeys((*_OF_STEPS, "type"), "")
    rest = replace(wanted, since=None, until=None, **held)
    if rest.expression() is not None:
        inner, parameters = where(rest, lone_calls=True)
        parts.append(f"(tenant, run_id) IN ({sql.compose('spanhouse_storage', 'runs_that_pass', where=inner)})")
        bound.parameters.update(parameters)
    parts.append(_time_bound("ended_at", bound, wanted))
    return " AND ".join(parts), bound.parameters


def values_of(texts: Texts) -> list[str]:
    """Return the wanted values as a list, empty where there is no filter."""
    given: Iterable[str] = [texts] if isinstance(texts, str) else texts
    return [text for text in given if text]


def _time_bound(column: str, bound: Bound, wanted: RunFilter) -> str:
    bounds = []
    for name, sign in (("since", ">="), ("until", "<")):
        moment: datetime | None = getattr(wanted, name)
        if moment is not None:
            placeholder = bound.named(name, "Int64", nanos(moment))
            bounds.append(f"{column} {sign} fromUnixTimestamp64Nano({placeholder}, 'UTC')")
    return " AND ".join(bounds) or "1"


def _spans_bound(time: str, bound: Bound, wanted: RunFilter) -> str:
    """Bound the spans by the start of their runs; a window over ends is asked when the earliest of its runs began."""
    if wanted.since is None:
        return "1"
    since = bound.named("since", "Int64", nanos(wanted.since))
    earliest = f"intDiv({since}, 1000000000)"
    if time != "started_at":
        ended = f"{time} >= fromUnixTimestamp64Nano({since}, 'UTC')"
        earliest = f"({sql.compose('spanhouse_storage', 'filter_earliest_start', ended=ended)})"
    # A span whose clock was wrong belongs to its run whatever the time asked for.
    from_ = f"fromUnixTimestamp(greatest(toInt64(0), toInt64({earliest}) - {_EARLIER}))"
    return f"(bucket >= {from_} OR bucket = fromUnixTimestamp(0))"
