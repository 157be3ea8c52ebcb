"""Everything a filter can name, once: fields of runs and spans, figures of tools, scores and budgets.

The names are those of the API's ``Run`` and ``Span``. Lists, metrics, the command line, the dashboards, alert rules
and ``docs/filters.md`` take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from spanhouse.stop_reasons import Outcome, StopCode

EQUAL: Final = ("=", "!=", "in")
TEXTUAL: Final = ("=", "!=", "~", "!~", "in", "is")
ORDERED: Final = ("=", "!=", ">", ">=", "<", "<=", "in", "is")


class Kind(Enum):
    """What a field holds: which operators it takes, and how a value is written."""

    TEXT = "text", TEXTUAL, 'a text, such as "refund" or gpt-4o'
    SEARCH = "search", ("~", "!~"), 'a text, such as "refund"'
    LIST = "list", TEXTUAL, 'a text that one of the values is, such as "gpt-4o"'
    NUMBER = "number", ORDERED, "a number, such as 2, 0.5, 10k or 2M"
    MONEY = "US dollars", ORDERED, "US dollars, such as 0.5 or $0.50"
    SECONDS = "duration", ORDERED, "a duration, such as 90, 2m or 1h30m"
    MILLISECONDS = "milliseconds", ORDERED, "a duration, such as 2000, 250ms or 2s"
    SIZE = "size", ORDERED, "a size, such as 500, 64KiB or 1MB"
    TIME = (
        "time",
        ("=", "!=", ">", ">=", "<", "<=", "is"),
        "a time, such as 2026-01-31T12:00:00Z, or an age such as 24h",
    )
    FLAG = "flag", ("=", "!=", "is"), "true or false"
    VALUE = "any value", ("=", "!=", "~", "!~", ">", ">=", "<", "<=", "in", "is"), "a number, or a text in quotes"
    FIGURE = "figure", ("=", "!=", ">", ">=", "<", "<=", "in"), "a number, such as 2"
    SPENT = "time spent", ("=", "!=", ">", ">=", "<", "<=", "in"), "a duration, such as 90, 2m or 1h30m"

    def __init__(self, label: str, operators: tuple[str, ...], example: str) -> None:
        self.label = label
        self.operators = operators
        self.example = example


@dataclass(frozen=True, slots=True)
class Field:
    """One name a filter can use.

    Attributes:
        name: as in the API.
        kind: what it holds.
        meaning: in a few words.
        aliases: short names for the same.
        choices: all values there are, where they are a closed list; of ``code:subject`` the part before the colon.
    """

    name: str
    kind: Kind
    meaning: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


def _text(name: str, meaning: str, *aliases: str, choices: tuple[str, ...] = ()) -> Field:
    return Field(name, Kind.TEXT, meaning, aliases, choices)


def _number(name: str, meaning: str, *aliases: str) -> Field:
    return Field(name, Kind.NUMBER, meaning, aliases)


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


STOP_CODES: Final = tuple(code.value for code in StopCode)
SPAN_CLASSES: Final = (
    *("agent", "workflow", "llm", "tool", "retrieval"),
    *("embedding", "guardrail", "evaluator", "step", "other"),
)

RUN_FIELDS: Final = _table(
    Field("text", Kind.SEARCH, "a word of what was asked, answered or went wrong, in the run or any of its spans"),
    _text("run_id", "id of the run", "id", "run"),
    _text("trace_id", "id of its trace", "trace"),
    _text("request_id", "id a person has in hand", "request"),
    _text("session_id", "conversation it belongs to", "session"),
    _text("user_id", "user it was for", "user"),
    _text("tenant", "whose it is"),
    _text("environment", "deployment environment", "env"),
    _text("service_name", "service that ran it", "service"),
    _text("agent", "agent that ran"),
    _text("agent_version", "version of the agent", "version"),
    Field("model", Kind.LIST, "any model it used"),
    Field("models", Kind.LIST, "models of its calls"),
    _text("status", "whether it goes on", choices=("running", "ended")),
    _text("stop_reason", "why it ended: a code, or code:subject", "reason", choices=STOP_CODES),
    _text("stop_code", "the code alone", choices=STOP_CODES),
    _text("stop_subject", "what the code is about: a tool, a budget, an error"),
    _text("stop_reason_source", "who says so", choices=("reported", "inferred")),
    _text("outcome", "whether it did what it was for", choices=tuple(outcome.value for outcome in Outcome)),
    Field("completed", Kind.FLAG, "succeeded, or finished by itself where that is not known"),
    Field("escalated", Kind.FLAG, "was handed to a person"),
    Field("started_at", Kind.TIME, "when it began", ("started",)),
    Field("ended_at", Kind.TIME, "when it ended", ("ended",)),
    Field("run_seconds", Kind.SECONDS, "how long it took", ("duration", "seconds")),
    Field("model_seconds", Kind.SECONDS, "time in model calls"),
    Field("tool_seconds", Kind.SECONDS, "time in tool calls"),
    _text("state", "state the runtime said last"),
    _text("type", "agent, workflow, or call for a lone call; without it lone calls are left out"),
    _text("task", "task it was given"),
    _text("task_type", "kind of task"),
    _text("variant", "variant of an experiment"),
    _text("tool", "any tool it called or asked for"),
    _number("resumes", "how often it was taken up again"),
    _number("steps", "steps"),
    _number("model_calls", "model calls"),
    _number("model_errors", "model calls that failed"),
    _number("tool_calls", "tool calls made"),
    _number("tool_errors", "tool calls that failed", "errors"),
    _number("tool_requests", "tool calls asked for"),
    _number("policy_denials", "tool calls denied", "denials"),
    _number("loops", "calls repeated with equal arguments"),
    _number("cycle_length", "length of a repeating cycle of calls"),
    _number("retries", "repeated attempts"),
    Field("retry_storm", Kind.FLAG, "one tool failed three times within a minute"),
    _number("input_tokens", "tokens sent to models"),
    _number("output_tokens", "tokens that models made"),
    _number("tokens", "input and output tokens"),
    _number("cache_read_tokens", "input tokens read from a cache"),
    _number("cache_write_tokens", "input tokens written to a cache"),
    _number("reasoning_tokens", "output tokens spent on reasoning"),
    Field("cost_usd", Kind.MONEY, "cost; unknown where a price is", ("cost", "usd")),
    _text("cost_source", "where the cost comes from"),
    Field("unpriced_models", Kind.LIST, "models without a price"),
    _number("spans_stored", "spans that are stored"),
    _number("spans_expected", "spans that the SDK made"),
    Field("audit_stored", Kind.FIGURE, "audit events that are stored"),
    _number("audit_expected", "audit events that the SDK made"),
    Field("complete", Kind.FLAG, "all spans and audit events that the SDK made are stored"),
    _number("weight", "runs it stands for where telemetry is sampled"),
    _text("convention", "telemetry convention it came in"),
    _text("name", "name of the run"),
    _text("error_type", "kind of its error"),
    _text("error_message", "message of its error", "error"),
    _text("input_preview", "beginning of what was asked", "input"),
    _text("output_preview", "beginning of what was answered", "output"),
    _text("root_span_id", "id of its root span"),
)

SPAN_FIELDS: Final = _table(
    Field("text", Kind.SEARCH, "a word of its input, output or error"),
    _text("trace_id", "id of its trace", "trace"),
    _text("span_id", "its id", "id"),
    _text("parent_span_id", "id of the span around it", "parent"),
    _text("name", "its name"),
    _text("span_class", "what it is", "class", choices=SPAN_CLASSES),
    _text("status", "how it ended", choices=("ok", "error", "unset")),
    _text("status_message", "message of its error", "error"),
    _text("error_type", "kind of its error"),
    Field("start", Kind.TIME, "when it began", ("started_at",)),
    Field("end", Kind.TIME, "when it ended; unknown of a span that goes on", ("ended_at",)),
    Field("ms", Kind.MILLISECONDS, "how long it took; unknown of a span that goes on", ("duration",)),
    _text("tool_name", "tool called", "tool"),
    _text("tool_call_id", "id the model gave the call"),
    _text("args_hash", "hash of the tool's arguments"),
    _text("decision", "policy's decision", choices=("allow", "deny", "ask")),
    Field("replayed", Kind.FLAG, "answered from an earlier call"),
    _number("attempt", "number of the attempt"),
    _number("step", "number of the step"),
    _text("step_kind", "kind of the step"),
    _text("model", "model that answered, or was asked"),
    _text("provider", "who serves the model"),
    _number("input_tokens", "tokens sent to the model"),
    _number("output_tokens", "tokens that the model made"),
    _number("cache_read_tokens", "input tokens read from a cache"),
    _number("reasoning_tokens", "output tokens spent on reasoning"),
    Field("cost_usd", Kind.MONEY, "cost", ("cost", "usd")),
    Field("finish_reasons", Kind.LIST, "why the model stopped", ("finish_reason",)),
    _text("agent", "agent it belongs to"),
    _text("service_name", "service that made it", "service"),
    _text("convention", "telemetry convention it came in"),
    _text("input", "messages or arguments"),
    _text("output", "answer or result"),
    Field("input_bytes", Kind.SIZE, "length of the input"),
    Field("output_bytes", Kind.SIZE, "length of the output"),
)

FIGURES: Final[dict[str, dict[str, Field]]] = {
    "tool": _table(
        Field("calls", Kind.FIGURE, "calls made"),
        Field("errors", Kind.FIGURE, "calls that failed"),
        Field("denials", Kind.FIGURE, "calls asked for and denied"),
        Field("seconds", Kind.SPENT, "time in its calls"),
    ),
    "budget": _table(
        Field("limit", Kind.NUMBER, "what it allows"),
        Field("used", Kind.NUMBER, "what was used of it"),
    ),
}
"""What ``tool("name").`` and ``budget("name").`` can be followed by."""

SCORE: Final = Field("score", Kind.VALUE, "a score of that name: a number, or its label as text in quotes")
ATTR: Final = Field("attr", Kind.VALUE, "an attribute of a span or its resource, as the agent sent it")

FUNCTIONS: Final = {"run": ("span", "tool", "score", "attr", "budget"), "span": ("attr",)}
"""Names that are followed by parentheses: in a filter, and inside ``span(...)``."""
