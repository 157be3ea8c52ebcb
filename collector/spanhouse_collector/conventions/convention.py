"""What a telemetry convention is to the collector: how its spans are known and where each column's value stands.

A further convention is one file of such data and one fixture. Nothing else of the collector names its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from spanhouse_collector.conventions.readers import Reader, text
from spanhouse_collector.wire import Value

AGENT: Final = "agent"
WORKFLOW: Final = "workflow"
LLM: Final = "llm"
TOOL: Final = "tool"
RETRIEVAL: Final = "retrieval"
EMBEDDING: Final = "embedding"
GUARDRAIL: Final = "guardrail"
EVALUATOR: Final = "evaluator"
STEP: Final = "step"
OTHER: Final = "other"

SPAN_CLASSES: Final = (AGENT, WORKFLOW, LLM, TOOL, RETRIEVAL, EMBEDDING, GUARDRAIL, EVALUATOR, STEP, OTHER)
"""The closed list of what a span can be; ``other`` (HTTP, databases, messaging) is kept and hidden by default."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a column's value stands: the keys in order of precedence and how to read them.

    Attributes:
        column: a column of ``spans``, or one of ``payload.SOURCES`` that become ``input`` and ``output`` by span class.
        keys: attribute keys, the first usable value wins.
        read: how the value is read.
        only: span classes the source is for; empty for all.
        own: the source counts only on spans known as this convention's, and there before all others. For keys whose
            name is too common, or that another convention fills with something else.
    """

    column: str
    keys: tuple[str, ...]
    read: Reader = text
    only: frozenset[str] = frozenset()
    own: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a class rule may look at: the attributes it named, the span's name and the scope's name."""

    attributes: Mapping[str, Value]
    name: str
    scope: str


Decide: TypeAlias = Callable[[Sighting], str]


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One row of the decision table that says what a span is; the lowest rank that answers wins.

    Attributes:
        rank: place in the table; rules of one rank are asked in the order of the conventions.
        keys: attributes it looks at; a rule none of whose keys is on the span is not asked, unless it has scopes.
        decide: the span class, or "" to leave it to the next rule.
        scopes: if given, the rule is asked only under scopes that begin so.
        named: the answer depends on the span's name.
        valued: the answer depends on the attributes' values, not on their presence alone.
    """

    rank: int
    keys: tuple[str, ...]
    decide: Decide
    scopes: tuple[str, ...] = ()
    named: bool = False
    valued: bool = True


def by_value(rank: int, key: str, classes: Mapping[str, str]) -> ClassRule:
    """Return the rule that reads the class from one attribute's value (case and JSON quotes do not matter)."""

    def decide(span: Sighting) -> str:
        value = span.attributes.get(key)
        return classes.get(value.strip('" ').lower(), "") if isinstance(value, str) else ""

    return ClassRule(rank, (key,), decide)


def by_presence(rank: int, keys: Sequence[str], span_class: str, beside: Sequence[str] = ()) -> ClassRule:
    """Return the rule that takes the presence of any of the keys (and of any of ``beside``) for the class."""

    def decide(span: Sighting) -> str:
        found = any(key in span.attributes for key in keys)
        return span_class if found and (not beside or any(key in span.attributes for key in beside)) else ""

    return ClassRule(rank, (*keys, *beside), decide, valued=False)


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages in GenAI parts form; None where the source has no such side."""

    input: list[dict[str, Any]] | None = None
    output: list[dict[str, Any]] | None = None
    system: list[dict[str, Any]] | None = None
    tools: list[Any] | None = None


class FromAttributes(Protocol):
    """Reads messages that are spread over many attributes."""

    def __call__(self, attributes: Mapping[str, Value], /) -> Messages:
        """Return the messages in the attributes whose keys begin with the convention's ``message_prefixes``."""


@dataclass(frozen=True, slots=True)
class Convention:
    """One telemetry convention.

    Attributes:
        name: what the ``convention`` column says.
        scopes: instrumentation scopes it is known by; one that ends in "*" is a prefix.
        keys: attribute keys it is known by; one that ends in "*" is a prefix. Asked after the scopes of all.
        sources: where the columns' values stand.
        classes: its rows of the decision table.
        message_prefixes: prefixes of the keys that ``messages`` reads.
        messages: reads messages spread over many attributes.
        span_names_agent: an agent span without an agent's name is named after its agent.
        foreign_keys: keys that mean something else on its spans than under the names other conventions share.
        cache_beside_input: its input tokens leave out those read from and written to the cache.
        reasoning_beside_output: its output tokens leave out those of reasoning.
    """

    name: str
    scopes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    classes: tuple[ClassRule, ...] = ()
    message_prefixes: tuple[str, ...] = ()
    messages: FromAttributes | None = None
    span_names_agent: bool = False
    foreign_keys: frozenset[str] = frozenset()
    cache_beside_input: bool = False
    reasoning_beside_output: bool = False


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a scope or key fits a pattern: equal, or beginning with what stands before a final "*"."""
    return subject.startswith(pattern[:-1]) if pattern.endswith("*") else subject == pattern
