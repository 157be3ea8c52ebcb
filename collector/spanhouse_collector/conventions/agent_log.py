"""What a convention of log events is: how the events of a coding agent become spans, messages and audit events.

Agents that send no spans tell of one prompt in many log records, and a record may come without its siblings, twice or
late. So each record is read alone, and what it says of a call gets ids that follow from the call itself.
Why it is so: docs/adr/0007-log-only-agents.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spanhouse_collector.wire import Value


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log record of a coding agent.

    Attributes:
        name: the event's name in its long form (``claude_code.api_request``).
        attributes: the record's attributes, of equal keys the first.
        record_id: the record's own id, a hash of its content.
    """

    name: str
    attributes: Mapping[str, Value]
    record_id: str


@dataclass(frozen=True, slots=True)
class Call:
    """A run, model call or tool call that a record tells of; it ends when the record was made.

    Attributes:
        span_class: agent, llm or tool.
        name: the span's name.
        key: what makes two records speak of one call (a request id, a tool use id); empty where only the record itself
            can say.
        ms: how long it took.
        columns: further columns of ``spans``, and ``tool_arguments`` and ``tool_result`` by ``input`` and ``output``.
        error: what went wrong, None where nothing did.
        error_code: a status code or an error's name beside it.
    """

    span_class: str
    name: str
    key: str = ""
    ms: float = 0
    columns: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit event that a record tells of; ``data`` is kept as its JSON."""

    name: str
    data: Mapping[str, Any]
    tool: str = ""
    decision: str = ""
    status: str = ""
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record says.

    Attributes:
        session: the session or conversation; a record without one says nothing that could be placed.
        prompt: id of the prompt within it; empty where the agent sends none, and time tells them apart.
        call: the run or call it tells of.
        about: the call its ``answer`` belongs to, where that is told by another record.
        answer: what the model said, as text.
    """

    session: str
    prompt: str = ""
    user: str = ""
    call: Call | None = None
    audit: Audit | None = None
    about: Call | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class LogConvention:
    """The log events of one agent.

    Attributes:
        name: what the ``convention`` column says; also the agent's name.
        prefix: what all its events' names begin with.
        read: what one event says.
    """

    name: str
    prefix: str
    read: Callable[[LogEvent], Reading]


REDACTED = frozenset({"<REDACTED>", "[REDACTED]", "__REDACTED__"})
"""What stands in a text's place where the agent was told not to send it."""


def shown(value: Value) -> str:
    """Return a captured text, "" for one that was not captured."""
    return value if isinstance(value, str) and value not in REDACTED else ""


def decided(word: str, denials: Sequence[str]) -> str:
    """Return the decision column of a permission event: allow or deny, "" where nothing was decided."""
    said = word.lower()
    return "deny" if said in denials else "allow" if said else ""
