"""A filter as text again, in one form whatever way it was written: reading it back gives the same tree."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Final

from spanhouse.filters.fields import FIGURES, RUN_FIELDS, SPAN_FIELDS, Kind
from spanhouse.filters.nodes import (
    Age,
    And,
    AnySpan,
    Attr,
    Compare,
    Figure,
    IsNull,
    Name,
    Node,
    Not,
    OneOf,
    Or,
    Score,
    Subject,
    Value,
)
from spanhouse.filters.values import SECONDS

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/@-]*")
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
_EXACT: Final = 1e15
"""Whole numbers below it are written without a fraction and read back as the same number."""


def written(node: Node) -> str:
    """Return the canonical text of a filter: full names, spaces around operators, parentheses where they are needed."""
    return _node(node, in_span=False)


def quoted(text: str) -> str:
    """Return a text as a filter quotes it."""
    return json.dumps(text, ensure_ascii=False)


def _node(node: Node, *, in_span: bool) -> str:  # noqa: PLR0911 - one a kind of node
    match node:
        case And(parts):
            return " and ".join(_inside(part, Or, in_span=in_span) for part in parts)
        case Or(parts):
            return " or ".join(_node(part, in_span=in_span) for part in parts)
        case Not(part):
            return f"not {_inside(part, And | Or, in_span=in_span)}"
        case AnySpan(condition):
            return f"span({_node(condition, in_span=True)})"
        case Compare(subject, operator, value):
            return f"{_subject(subject)} {operator} {_value(subject, value, in_span=in_span)}"
        case OneOf(subject, values, negated):
            listed = ", ".join(_value(subject, value, in_span=in_span) for value in values)
            return f"{_subject(subject)} {'not in' if negated else 'in'} ({listed})"
        case IsNull(subject, negated):
            return f"{_subject(subject)} {'is not null' if negated else 'is null'}"


def _inside(node: Node, wider: type[Or] | object, *, in_span: bool) -> str:
    text = _node(node, in_span=in_span)
    return f"({text})" if isinstance(node, wider) else text  # type: ignore[arg-type] # a class or a union of them


def _subject(subject: Subject) -> str:
    match subject:
        case Name(name):
            return name
        case Figure(of, name, figure):
            return f"{of}({quoted(name)}).{figure}"
        case Score(name):
            return f"score({quoted(name)})"
        case Attr(key):
            return f"attr({quoted(key)})"


def _value(subject: Subject, value: Value, *, in_span: bool) -> str:
    if isinstance(value, str):
        dynamic = isinstance(subject, Attr | Score)
        bare = not dynamic and _BARE.fullmatch(value) and value.lower() not in KEYWORDS
        return value if bare else quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="microseconds" if value.microsecond else "seconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, Age):
        return f"{value.seconds:.6f}".rstrip("0").rstrip(".") + "s" if value.seconds % 1 else _duration(value.seconds)
    kind = kind_of(subject, in_span=in_span)
    if kind in {Kind.SECONDS, Kind.SPENT} and value >= 0:
        return _duration(value)
    return number(value) + ("ms" if kind is Kind.MILLISECONDS and value >= 0 and "e" not in number(value) else "")


def kind_of(subject: Subject, *, in_span: bool = False) -> Kind:
    """Return what the subject holds."""
    if isinstance(subject, Name):
        return (SPAN_FIELDS if in_span else RUN_FIELDS)[subject.name].kind
    if isinstance(subject, Figure):
        return FIGURES[subject.of][subject.figure].kind
    return Kind.VALUE


def number(value: float) -> str:
    """Return a number as short as it can be read back."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < _EXACT else repr(value)


def _duration(seconds: float) -> str:
    if seconds.is_integer() and seconds < _EXACT:
        for unit, size in SECONDS.items():
            if unit in {"d", "h", "m"} and seconds and seconds % size == 0:
                return f"{number(seconds / size)}{unit}"
    text = number(seconds)
    # An exponent takes no unit; a bare number of a duration is seconds.
    return text if "e" in text else f"{text}s"
