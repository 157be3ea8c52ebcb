"""Which runs are meant: the one filter that lists, metrics and alerts share, compiled to a parameterised condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from spanhouse_storage import sql
from spanhouse_storage.reads.times import nanos

Texts: TypeAlias = str | tuple[str, ...] | list[str]
"""One wanted value, or several of which any will do; empty means no wanted."""

_EXACT = (
    "tenant",
    "environment",
    "agent",
    "agent_version",
    "status",
    "outcome",
    "type",
    "task",
    "task_type",
    "variant",
    "session_id",
    "user_id",
    "request_id",
)
_SEARCHED = ("task", "input_preview", "output_preview", "error_message", "name")

LONE_CALL = "call"
"""Run type of a single model, tool or embedding call outside any agent; left out unless `type` names it."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Conditions on runs, all of which must hold; an empty one holds always.

    `stop_reason` takes codes (`policy_deny`) and whole reasons (`policy_deny:send_email`). `model` and `tool` mean
    any model or tool the run used. `text` is looked for, whatever its case, in the task, name, input and output
    previews and error. `complete` means that all spans and audit events the SDK made are stored; a run of which that is
    not known is in neither list. `since` is inclusive, `until` exclusive.
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
    since: datetime | None = None
    until: datetime | None = None


_OF_STEPS = ("tenant", "environment", "user_id", "agent", "agent_version", "task_type", "variant", "model", "tool")


def where(
    wanted: RunFilter, prefix: str = "", *, time: str = "started_at", lone_calls: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return a condition on the table `runs` and its parameters.

    `prefix` qualifies the columns (`"runs."`) and keeps parameter names apart when two filters meet in one statement.
    `time` is the column that `since` and `until` bound: `started_at` or `ended_at`. `lone_calls` keeps runs of type
    `call` where no type is wanted. The condition is never empty.
    """
    conditions = _Conditions(prefix)
    for column in _EXACT:
        conditions.any_of(f"{prefix}{column} IN @values", column, getattr(wanted, column))
    if not values_of(wanted.type) and not lone_calls:
        conditions.add(f"{prefix}type != '{LONE_CALL}'")
    conditions.any_of(f"(hasAny({prefix}models, @values) OR {prefix}model IN @values)", "model", wanted.model)
    conditions.any_of(
        f"({prefix}stop_code IN @values OR {prefix}stop_reason IN @values)", "stop_reason", wanted.stop_reason
    )
    # Steps repeat the run's times, so a time bound keeps the inner read as narrow as the outer one.
    bound = _time_bound(f"run_{time}", conditions, wanted)
    conditions.any_of(
        f"({prefix}tenant, {prefix}run_id) IN ({sql.compose('spanhouse_storage', 'runs_with_tool', bound=bound)})",
        "tool",
        wanted.tool,
    )
    if wanted.escalated is not None:
        conditions.add(f"{prefix}escalated = {int(wanted.escalated)}")
    if wanted.completed is not None:
        conditions.add(f"{prefix}completed = {int(wanted.completed)}")
    if wanted.complete is not None:
        bound = _time_bound(time, conditions, wanted)
        missing = sql.compose("spanhouse_storage", "runs_incomplete", bound=bound)
        known = f"(isNotNull({prefix}spans_expected) OR isNotNull({prefix}audit_expected))"
        whether = "NOT IN" if wanted.complete else "IN"
        conditions.add(f"{known} AND ({prefix}tenant, {prefix}run_id) {whether} ({missing})")
    if wanted.text:
        placeholder = conditions.parameter("text", "String", wanted.text)
        conditions.add(
            "(" + " OR ".join(f"positionCaseInsensitiveUTF8({prefix}{c}, {placeholder}) > 0" for c in _SEARCHED) + ")"
        )
    conditions.add(_time_bound(f"{prefix}{time}", conditions, wanted))
    return " AND ".join(conditions.parts), conditions.parameters


def where_steps(wanted: RunFilter) -> tuple[str, dict[str, Any]]:
    """Return a condition on the table `steps`: calls that ended in the filter's window, of the runs that are meant.

    `model` and `tool` mean those of the call. Lone calls are among them: they cost what other calls cost.
    """
    conditions = _Conditions("")
    for column in _OF_STEPS:
        conditions.any_of(f"{column} IN @values", column, getattr(wanted, column))
    conditions.any_of("run_type IN @values", "type", wanted.type)
    held: dict[str, Any] = dict.fromkeys((*_OF_STEPS, "type"), "")
    rest = replace(wanted, since=None, until=None, **held)
    if rest != RunFilter():
        inner, parameters = where(rest, lone_calls=True)
        conditions.add(f"(tenant, run_id) IN ({sql.compose('spanhouse_storage', 'runs_that_pass', where=inner)})")
        conditions.parameters.update(parameters)
    conditions.add(_time_bound("ended_at", conditions, wanted))
    return " AND ".join(conditions.parts), conditions.parameters


def values_of(texts: Texts) -> list[str]:
    """Return the wanted values as a list, empty where there is no filter."""
    given: Iterable[str] = [texts] if isinstance(texts, str) else texts
    return [text for text in given if text]


def _time_bound(column: str, conditions: _Conditions, wanted: RunFilter) -> str:
    bounds = []
    if wanted.since is not None:
        bounds.append(
            f"{column} >= fromUnixTimestamp64Nano({conditions.parameter('since', 'Int64', nanos(wanted.since))}, 'UTC')"
        )
    if wanted.until is not None:
        bounds.append(
            f"{column} < fromUnixTimestamp64Nano({conditions.parameter('until', 'Int64', nanos(wanted.until))}, 'UTC')"
        )
    return " AND ".join(bounds) or "1"


class _Conditions:
    """A growing list of conditions and their parameters."""

    def __init__(self, prefix: str) -> None:
        self.parts: list[str] = []
        self.parameters: dict[str, Any] = {}
        self._name_prefix = "f_" + prefix.replace(".", "_")

    def add(self, condition: str) -> None:
        self.parts.append(condition)

    def parameter(self, name: str, type_: str, value: Any) -> str:  # noqa: ANN401 - any bindable value
        self.parameters[self._name_prefix + name] = value
        return f"{{{self._name_prefix}{name}:{type_}}}"

    def any_of(self, condition: str, name: str, texts: Texts) -> None:
        values = values_of(texts)
        if values:
            self.add(condition.replace("@values", self.parameter(name, "Array(String)", values)))
