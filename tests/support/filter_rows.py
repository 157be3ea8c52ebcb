"""Random filters, random runs with their spans, steps and scores, and a plain reading of one over the other.

The reading is written from the documentation, row by row in Python, so that it errs in other ways than SQL does.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from spanhouse.filters.fields import FIGURES, RUN_FIELDS, SPAN_FIELDS, Field, Kind
from spanhouse.filters.nodes import (
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
    all_of,
    any_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
TOOLS = ("http.get", "mail")
SCORES = ("good", "kind")
KEYS = ("region", "retry")
WORDS = st.sampled_from(["", "a", "A", "refund", "Refund now", "gpt-4o", "it's", 'say "x"', "%_", "\\", "ö", "1"])
NUMBERS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0])
TIMES = st.sampled_from([NOON + timedelta(seconds=offset) for offset in (-1, 0, 0.5, 1)])


@dataclass
class Row:
    """A run and all that is stored of it; texts are empty and numbers None where not known."""

    run: dict[str, Any]
    spans: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    audit: int = 0


def values(of: Field, *, texts_only: bool = False) -> st.SearchStrategy[Value]:
    """Return values that a condition on the field can hold."""
    if of.choices:
        return st.sampled_from(of.choices)
    match of.kind:
        case Kind.TEXT | Kind.SEARCH | Kind.LIST:
            return WORDS
        case Kind.TIME:
            return TIMES
        case Kind.FLAG:
            return st.booleans()
        case Kind.VALUE:
            return WORDS if texts_only else WORDS | NUMBERS
        case _:
            return NUMBERS


@st.composite
def conditions(draw: st.DrawFn, scope: dict[str, Field], *, in_span: bool) -> Node:
    """Draw one condition on runs, or on spans."""
    kinds = ["field"] * 4 + ["attr"] + ([] if in_span else ["tool", "budget", "score", "span"])
    kind = draw(st.sampled_from(kinds))
    if kind == "span":
        return AnySpan(draw(filters(SPAN_FIELDS, in_span=True)))
    of = Field("value", Kind.VALUE, "")
    subject: Subject
    if kind == "field":
        of = draw(st.sampled_from(list(scope.values())))
        subject = Name(of.name)
    elif kind == "attr":
        subject = Attr(draw(st.sampled_from(KEYS)))
    elif kind == "score":
        subject = Score(draw(st.sampled_from(SCORES)))
    else:
        figure = draw(st.sampled_from(list(FIGURES[kind].values())))
        of, name = figure, draw(st.sampled_from(TOOLS if kind == "tool" else ("max_usd",)))
        subject = Figure(kind, name, figure.name)
    sign = draw(st.sampled_from(of.kind.operators))
    if sign == "is":
        return IsNull(subject, draw(st.booleans()))
    if sign == "in":
        listed = draw(st.lists(values(of), min_size=1, max_size=3))
        return OneOf(subject, tuple(listed), draw(st.booleans()))
    value = draw(values(of, texts_only="~" in sign))
    if of.kind is Kind.VALUE and sign in {">", ">=", "<", "<="}:
        value = draw(NUMBERS)
    return Compare(subject, sign, value)


def filters(scope: dict[str, Field] | None = None, *, in_span: bool = False) -> st.SearchStrategy[Node]:
    """Return filters over runs, or over spans."""

    def joined(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(parts, min_size=2, max_size=3)
        return several.map(_all) | several.map(_any) | parts.map(Not)

    return st.recursive(conditions(scope or RUN_FIELDS, in_span=in_span), joined, max_leaves=4)


def _all(parts: list[Node]) -> Node:
    found = all_of(parts)
    assert found is not None
    return found


def _any(parts: list[Node]) -> Node:
    found = any_of(parts)
    assert found is not None
    return found


def holds(node: Node, row: Row, span: dict[str, Any] | None = None) -> bool:  # noqa: PLR0911 - one a kind of node
    """Return whether a filter holds of a run, or of one of its spans."""
    match node:
        case And(parts):
            return all(holds(part, row, span) for part in parts)
        case Or(parts):
            return any(holds(part, row, span) for part in parts)
        case Not(part):
            return not holds(part, row, span)
        case AnySpan(condition):
            return any(holds(condition, row, one) for one in row.spans)
        case Compare(subject, "!=" | "!~" as sign, value):
            return not holds(Compare(subject, sign[1:], value), row, span)
        case Compare(subject, sign, value):
            return any(_stands(found, sign, value) for found in known(subject, row, span))
        case OneOf(subject, wanted, negated):
            return negated != any(_stands(found, "=", value) for found in known(subject, row, span) for value in wanted)
        case IsNull(subject, negated):
            return negated == bool([found for found in known(subject, row, span) if found != ""])


def known(subject: Subject, row: Row, span: dict[str, Any] | None) -> list[Any]:
    """Return what is known of a subject: no, one or several values."""
    match subject:
        case Attr(key):
            spans = row.spans if span is None else [span]
            return [Loose(one["attributes"][key]) for one in spans if key in one["attributes"]]
        case Score(name):
            return [Scored(one) for one in row.scores if one["name"] == name]
        case Figure("budget", name, figure):
            return [row.run["budget"][name][figure]] if name in row.run["budget"] else []
        case Figure(_, name, figure):
            calls = [one for one in row.steps if one["tool"] == name]
            made = [one for one in calls if one["status"] != "denied"]
            return [
                {
                    "calls": len(made),
                    "errors": sum(one["status"] == "error" for one in calls),
                    "denials": len(calls) - len(made),
                    "seconds": sum(one["ms"] for one in made) / 1000,
                }[figure]
            ]
        case Name(name):
            return _of_span(name, span) if span is not None else _of_run(name, row)


@dataclass
class Loose:
    """An attribute: a text that may be read as a number."""

    text: str


@dataclass
class Said:
    """A text that words are looked for in: they must be whole words of it, and stand together."""

    text: str

    def says(self, wanted: str) -> bool:
        """Return whether the words stand in the text."""
        has, wants = self.text.lower(), wanted.lower()
        return wants in has and set(re.findall(r"\w+", wants)) <= set(re.findall(r"\w+", has))


@dataclass
class Scored:
    """A score: a number, a label, or both."""

    score: dict[str, Any]


def _stands(found: Any, sign: str, value: Value) -> bool:
    if isinstance(found, Said):
        return found.says(str(value))
    if isinstance(found, Loose):
        found = found.text if isinstance(value, str) else _number(found.text)
    elif isinstance(found, Scored):
        found = found.score["label"] if isinstance(value, str) else found.score["value"]
    if found is None:
        return False
    if sign == "~":
        return str(value).lower() in found.lower()
    return ORDER[sign](found, value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _of_run(name: str, row: Row) -> list[Any]:  # noqa: PLR0911 - one a name
    run = row.run
    match name:
        case "text":
            keys = ("task", "name", "input_preview", "output_preview", "error_message")
            own = [Said(run[key] or "") for key in keys]
            return own + [text for span in row.spans for text in _of_span("text", span)]
        case "tool":
            return [step["tool"] for step in row.steps if step["tool"]]
        case "model":
            return [*run["models"], run["model"]]
        case "stop_reason":
            return [run["stop_reason"], (run["stop_reason"] or "").partition(":")[0]]
        case "stop_code":
            return [run["stop_reason"].partition(":")[0]]
        case "tokens":
            found = [run[key] for key in ("input_tokens", "output_tokens") if run[key] is not None]
            return [sum(found)] if found else []
        case "audit_stored":
            return [row.audit]
        case "complete":
            pairs = ((run["spans_stored"], run["spans_expected"]), (row.audit, run.get("audit_expected")))
            told = [stored >= expected for stored, expected in pairs if expected is not None]
            return [all(told)] if told else []
    value = run[name]
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _of_span(name: str, span: dict[str, Any]) -> list[Any]:
    match name:
        case "text":
            carried = span["span_class"] == "llm" and span["parent_span_id"]
            asked = "" if carried else span["input"]
            return [Said("\n".join([span["output"], span["status_message"], asked]))]
        case "model":
            return [span["response_model"] or span["request_model"]]
        case "end":
            return [span["end"]] if span["is_final"] else []
        case "ms":
            return [span["duration_ns"] / 1e6] if span["is_final"] else []
        case "input_bytes" | "output_bytes":
            return [len(span[name.removesuffix("_bytes")].encode())]
    value = span[name]
    return list(value) if isinstance(value, list) else [] if value is None else [value]
