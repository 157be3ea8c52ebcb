"""What a model answered, checked before anything is made of it: models are code of others, and answer anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, NoReturn

from spanhouse.canonical import shown
from spanhouse.errors import SpanhouseError
from spanhouse_runtime.model import ModelResponse, ToolCall, Usage

_SHOWN = 80


class MalformedAnswer(SpanhouseError):  # noqa: N818 - what happened
    """A model's answer is none: the run ends with ``model_error:malformed`` and is charged what it reserved."""


def checked(answer: Any) -> ModelResponse:  # noqa: ANN401 - that is the question
    """Return the answer if it is one, with an id of its own for each call.

    Raises:
        MalformedAnswer: it is no ``ModelResponse``, or something in it is not what it has to be; says what.
    """
    if not isinstance(answer, ModelResponse):
        _refuse("the model answered", answer, "complete() has to return a ModelResponse")
    for name in ("text", "finish_reason", "model", "id"):
        if not isinstance(getattr(answer, name), str):
            _refuse(f"the answer's {name} is", getattr(answer, name), "it has to be text")
    calls: Any = answer.tool_calls
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        _refuse("the answer's tool_calls are", calls, "they have to be a tuple of ToolCall")
    _check_usage(answer.usage)
    _check_cost(answer.cost_usd)
    return replace(answer, tool_calls=_told_apart([_checked_call(call) for call in calls]))


def _checked_call(call: Any) -> ToolCall:  # noqa: ANN401 - the same question
    if not isinstance(call, ToolCall):
        _refuse("a tool call is", call, "it has to be a ToolCall")
    if not isinstance(call.name, str) or not isinstance(call.id, str):
        _refuse("a tool call's id and name are", (call.id, call.name), "they have to be text")
    arguments: Any = call.arguments
    if not isinstance(arguments, Mapping | str):
        # Told to the model as arguments that do not fit: it can do better, and the next one may.
        return replace(call, arguments=shown(arguments))
    return call


def _told_apart(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return the calls so that each answer belongs to one: models repeat ids, or give none."""
    taken: set[str] = set()
    apart: list[ToolCall] = []
    for call in calls:
        number, name = 1, call.id
        while name in taken:
            number += 1
            name = f"{call.id}~{number}"
        taken.add(name)
        apart.append(call if name == call.id else replace(call, id=name))
    return tuple(apart)


def _check_usage(usage: Any) -> None:  # noqa: ANN401 - the same question
    if usage is None:
        return
    if not isinstance(usage, Usage):
        _refuse("the answer's usage is", usage, "it has to be a Usage, or None where it is not known")
    for field in fields(usage):
        tokens = getattr(usage, field.name)
        if type(tokens) is not int or tokens < 0:
            _refuse(f"the usage's {field.name} is", tokens, "it has to be a whole number of tokens, 0 or more")


def _check_cost(cost: Any) -> None:  # noqa: ANN401 - the same question
    if cost is None:
        return
    if isinstance(cost, bool) or not isinstance(cost, int | float | Decimal) or not math.isfinite(cost) or cost < 0:
        _refuse("the answer's cost_usd is", cost, "it has to be a finite number, 0 or more, or None where not known")


def _refuse(what: str, value: object, wanted: str) -> NoReturn:
    said = shown(value)
    said = said if len(said) <= _SHOWN else said[:_SHOWN] + "…"
    msg = f"{what} {said} ({type(value).__name__}): {wanted}"
    raise MalformedAnswer(msg)
