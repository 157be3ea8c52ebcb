"""How spans of one shape become rows: worked out once for each combination of scope, attribute keys and span class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from spanhouse_collector.conventions import CONVENTIONS, detect
from spanhouse_collector.conventions.convention import OTHER, Convention, FromAttributes, Sighting, Source
from spanhouse_collector.conventions.readers import Reader
from spanhouse_collector.normalise.attributes import Entry
from spanhouse_collector.normalise.span_scores import PREFIXES

Feed: TypeAlias = tuple[int, Reader]
"""Position among the span's attributes, and how to read the value there."""

_MAX_SHAPES: Final = 2_000
_MAX_VERDICTS: Final = 200
_LONG: Final = 200
_WIDE: Final = 500


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """What to do with spans of one shape.

    Attributes:
        keys: the attribute keys in their order.
        feeds: column -> where its value may stand, in order of precedence.
        messages: readers of messages spread over many attributes of this shape.
        scored: some keys hold scores.
        span_names_agent, cache_beside_input, reasoning_beside_output: see `Convention`.
    """

    keys: tuple[str, ...]
    convention: str
    span_class: str
    feeds: dict[str, tuple[Feed, ...]]
    messages: tuple[FromAttributes, ...]
    span_names_agent: bool
    cache_beside_input: bool
    reasoning_beside_output: bool
    scored: bool


class Shape:
    """Spans with one scope and the same attribute keys, which may still be of several classes."""

    def __init__(self, scope: str, keys: tuple[str, ...]) -> None:
        self._scope = scope
        self._keys = keys
        self._convention = detect(scope, keys)
        present = set(keys)
        rules = [
            rule
            for each in CONVENTIONS
            for rule in each.classes
            if (not rule.scopes or scope.startswith(rule.scopes)) and (not rule.keys or present.intersection(rule.keys))
        ]
        self._rules = sorted(rules, key=lambda rule: rule.rank)
        self._named = any(rule.named for rule in rules)
        asked = dict.fromkeys(key for rule in self._rules for key in rule.keys if key in present)
        self._asked = [(key, keys.index(key)) for key in asked]
        telling = {key for rule in self._rules if rule.valued for key in rule.keys}
        self._telling = [at for key, at in self._asked if key in telling]
        self._verdicts: dict[tuple[object, ...], Plan] = {}
        self._plans: dict[str, Plan] = {}

    def plan(self, name: bytes, entries: Sequence[Entry]) -> Plan:
        """Return the plan for a span, by the class its attributes (and name, where a rule asks for it) give it."""
        evidence = (name if self._named else b"", *[entries[at][2] for at in self._telling])
        plan = self._verdicts.get(evidence)
        if plan is None:
            span_class = self._classify(name.decode("utf-8", "replace"), entries)
            plan = self._plans.get(span_class)
            if plan is None:
                plan = self._plans[span_class] = self._compile(span_class)
            # Long values are never the words the rules look for; remembering them would only cost memory.
            if all(len(part) <= _LONG for part in evidence):
                if len(self._verdicts) >= _MAX_VERDICTS:
                    self._verdicts.clear()
                self._verdicts[evidence] = plan
        return plan

    def _classify(self, name: str, entries: Sequence[Entry]) -> str:
        sighting = Sighting({key: entries[at][1] for key, at in self._asked}, name, self._scope)
        return next((found for rule in self._rules if (found := rule.decide(sighting))), OTHER)

    def _compile(self, span_class: str) -> Plan:
        said = self._convention
        first = {key: at for at, key in reversed(list(enumerate(self._keys)))}
        feeds: dict[str, list[Feed]] = {}
        foreign = said.foreign_keys if said else frozenset()
        for source in _sources(said):
            if not source.only or span_class in source.only:
                found = [
                    (first[key], source.read)
                    for key in source.keys
                    if key in first and (source.own or key not in foreign)
                ]
                if found:
                    feeds.setdefault(source.column, []).extend(found)
        readers = [
            each.messages
            for each in CONVENTIONS
            if each.messages is not None
            and each.message_prefixes
            and any(key.startswith(each.message_prefixes) for key in self._keys)
        ]
        return Plan(
            keys=self._keys,
            convention=said.name if said else "",
            span_class=span_class,
            feeds={column: tuple(found) for column, found in feeds.items()},
            messages=tuple(readers),
            span_names_agent=bool(said and said.span_names_agent),
            cache_beside_input=bool(said and said.cache_beside_input),
            reasoning_beside_output=bool(said and said.reasoning_beside_output),
            scored=any(key.startswith(PREFIXES) for key in self._keys),
        )


def _sources(said: Convention | None) -> list[Source]:
    # What a convention says of its own spans comes first; then all of them in their order.
    special = [source for source in said.sources if source.own] if said else []
    return special + [source for each in CONVENTIONS for source in each.sources if not source.own]


class Shapes:
    """The shapes met, remembered up to a bound."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, tuple[str, ...]], Shape] = {}

    def of(self, scope: str, keys: tuple[str, ...]) -> Shape:
        """Return the shape of spans under a scope with these attribute keys."""
        found = self._shapes.get((scope, keys))
        if found is None:
            found = Shape(scope, keys)
            # Spans with thousands of attributes seldom share them, and their keys would fill the memory.
            if len(keys) <= _WIDE:
                if len(self._shapes) >= _MAX_SHAPES:
                    self._shapes.clear()
                self._shapes[scope, keys] = found
        return found


def read_columns(scope: str, entries: Sequence[Entry], wanted: frozenset[str]) -> dict[str, object]:
    """Return the wanted columns that a record which is no span says something about, by the same sources as spans."""
    keys = [key for key, _, _ in entries]
    found: dict[str, object] = {}
    said = detect(scope, keys)
    foreign = said.foreign_keys if said else frozenset()
    for source in _sources(said):
        if source.column in wanted and not source.only and source.column not in found:
            for key in source.keys:
                usable = key in keys and (source.own or key not in foreign)
                if usable and (value := source.read(entries[keys.index(key)][1])):
                    found[source.column] = value
                    break
    return found
