"""Audit events of plain fields, checked without their pydantic model: the same answer in a fraction of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from spanhouse.audit.base import AUDIT_EVENTS

_PLAIN = frozenset({str, int, float, bool})


@dataclass(frozen=True, slots=True)
class _Plan:
    # By field: the types that are taken as they are, and the values where only some are.
    fields: Mapping[str, tuple[frozenset[type], frozenset[Any] | None]]
    required: frozenset[str]
    defaults: Mapping[str, Any]
    version: int


def checked(name: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], int] | None:
    """Return an event's own fields without those that are None, and its version, as its model would say them.

    None where only the model can tell: a field that is not declared, is missing, or is of another type than its plain
    own one.
    """
    plan = _plan(name)
    if plan is None:
        return None
    found = dict(plan.defaults)
    required = 0
    for key, value in fields.items():
        known = plan.fields.get(key)
        if known is None:
            return None
        kinds, values = known
        kind = type(value)
        if kind not in kinds:
            return None
        if value is None:
            found.pop(key, None)
            continue
        if values is not None:
            if value not in values:
                return None
            if kind is not str:
                value = value.value  # noqa: PLW2901 - the enum's member stands for its value
        required += key in plan.required
        found[key] = value
    return (found, plan.version) if required == len(plan.required) else None


@lru_cache(maxsize=256)
def _plan(name: str) -> _Plan | None:
    model = AUDIT_EVENTS.get(name)
    if model is None:
        return None
    rules = model.__pydantic_decorators__
    own = model.model_fields
    odd = any(field.metadata or field.alias or field.default_factory for field in own.values())
    if odd or rules.field_validators or rules.model_validators:
        return None
    said = {key: field.default for key, field in own.items() if not field.is_required() and field.default is not None}
    return _Plan(
        {key: known for key, field in own.items() if (known := _known(field.annotation))},
        frozenset(key for key, field in own.items() if field.is_required()),
        {key: value.value if isinstance(value, Enum) else value for key, value in said.items()},
        model.event_version,
    )


def _known(annotation: Any) -> tuple[frozenset[type], frozenset[Any] | None] | None:  # noqa: ANN401 - any annotation
    options = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    kinds: set[type] = set()
    values: frozenset[Any] | None = None
    for option in options:
        if option is NoneType or option in _PLAIN:
            kinds.add(option)
        elif get_origin(option) is Literal and all(type(value) is str for value in get_args(option)):
            kinds.add(str)
            values = frozenset(get_args(option))
        elif isinstance(option, type) and issubclass(option, Enum):
            kinds.add(option)
            values = frozenset(option)
        else:
            return None
    # With both, values would say too little of the one or the other.
    mixed = values is not None and len(kinds - {NoneType}) > 1
    return None if mixed else (frozenset(kinds), values)
