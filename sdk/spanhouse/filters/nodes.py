"""A filter as a tree of immutable nodes, which two filters that are read alike share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""Between these the store's nanoseconds fit; nothing it holds lies outside."""
LONGEST_AGE: Final = (LATEST - EARLIEST).total_seconds()


@dataclass(frozen=True, slots=True)
class Age:
    """The moment so many seconds ago."""

    seconds: float


Value: TypeAlias = str | float | bool | datetime | Age


@dataclass(frozen=True, slots=True)
class Name:
    """A field by the name the API gives it."""

    name: str


@dataclass(frozen=True, slots=True)
class Figure:
    """``tool("name").errors`` or ``budget("name").used``: ``of`` is tool or budget."""

    of: str
    name: str
    figure: str


@dataclass(frozen=True, slots=True)
class Score:
    """``score("name")``: any score of the run with that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Attr:
    """``attr("key")``: an attribute of a span; outside ``span(...)`` of any span of the run."""

    key: str


Subject: TypeAlias = Name | Figure | Score | Attr


@dataclass(frozen=True, slots=True)
class Compare:
    """A subject beside one value: ``operator`` is one of = != > >= < <= ~ !~."""

    subject: Subject
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """A subject that is one of some values, or where ``negated`` none of them."""

    subject: Subject
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """A subject that is not known, or where ``negated`` known."""

    subject: Subject
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AnySpan:
    """One span of the run fulfils all of the condition."""

    condition: Node


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; two or more, none of which is an ``And``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; two or more, none of which is an ``Or``."""

    parts: tuple[Node, ...]


Condition: TypeAlias = Compare | OneOf | IsNull
Node: TypeAlias = Condition | AnySpan | Not | And | Or


def all_of(parts: Iterable[Node]) -> Node | None:
    """Return what holds where all parts do; the part itself where there is one, None where there is none."""
    return _joined(And, parts)


def any_of(parts: Iterable[Node]) -> Node | None:
    """Return what holds where some part does; the part itself where there is one, None where there is none."""
    return _joined(Or, parts)


def _joined(kind: type[And | Or], parts: Iterable[Node]) -> Node | None:
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    return kind(tuple(flat)) if len(flat) > 1 else next(iter(flat), None)


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it, conditions on spans included."""
    yield node
    below: tuple[Node, ...] = ()
    if isinstance(node, And | Or):
        below = node.parts
    elif isinstance(node, Not):
        below = (node.part,)
    elif isinstance(node, AnySpan):
        below = (node.condition,)
    for part in below:
        yield from walk(part)


def mentions(node: Node, name: str) -> bool:
    """Return whether a condition on runs (not one inside ``span(...)``) is about the field."""
    if isinstance(node, And | Or):
        return any(mentions(part, name) for part in node.parts)
    if isinstance(node, Not):
        return mentions(node.part, name)
    return not isinstance(node, AnySpan) and node.subject == Name(name)


def resolved(node: Node, now: datetime) -> Node:
    """Return the filter with every age replaced by the moment it means at ``now``."""
    if isinstance(node, And | Or):
        return replace(node, parts=tuple(resolved(part, now) for part in node.parts))
    if isinstance(node, Not):
        return Not(resolved(node.part, now))
    if isinstance(node, AnySpan):
        return AnySpan(resolved(node.condition, now))
    if isinstance(node, Compare) and isinstance(node.value, Age):
        moment = now - timedelta(seconds=min(node.value.seconds, LONGEST_AGE))
        return replace(node, value=min(max(moment, EARLIEST), LATEST))
    return node
