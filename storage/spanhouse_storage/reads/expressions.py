"""A filter's tree as a condition of the store: text of this program alone, every value a bound parameter.

Every condition is true or false, never unknown: what is not known fulfils no comparison, and ``!=`` and ``!~`` are the
opposites of ``=`` and ``~``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from spanhouse.filters.fields import RUN_FIELDS, SPAN_FIELDS, Kind
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
from spanhouse_storage import sql
from spanhouse_storage.reads.columns import (
    FIGURE_EXPRESSIONS,
    RUN_EXPRESSIONS,
    RUN_SEARCHED,
    SPAN_EXPRESSIONS,
    SPAN_WORDS,
)
from spanhouse_storage.reads.times import nanos

_PACKAGE: Final = "spanhouse_storage"
_TEXTUAL: Final = frozenset({Kind.TEXT, Kind.SEARCH})
_SOME_TOOL: Final = "tool != ''"
_OPPOSITE: Final = {"!=": "=", "!~": "~"}
_WORD: Final = re.compile(r"[0-9a-z\u0080-\U0010ffff]+")
_ORDER: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Bound:
    """The values of a statement under construction, by the name of their parameter."""

    def __init__(self, prefix: str) -> None:
        self.parameters: dict[str, Any] = {}
        self._name_prefix = "f_" + prefix.replace(".", "_")

    def named(self, name: str, type_: str, value: Any) -> str:  # noqa: ANN401 - any bindable value
        """Return the placeholder of a value under this name."""
        self.parameters[self._name_prefix + name] = value
        return f"{{{self._name_prefix}{name}:{type_}}}"

    def value(self, type_: str, value: Any) -> str:  # noqa: ANN401 - any bindable value
        """Return the placeholder of a value."""
        return self.named(str(len(self.parameters)), type_, value)


class Conditions:
    """Writes conditions on rows of ``runs``.

    Args:
        bound: takes the values.
        prefix: of the table's columns, such as ``runs.``.
        runs_bound: narrows reads of ``runs`` to the window asked about.
        steps_bound: the same for ``steps``.
        spans_bound: the same for ``spans``.
    """

    def __init__(
        self, bound: Bound, prefix: str = "", *, runs_bound: str = "1", steps_bound: str = "1", spans_bound: str = "1"
    ) -> None:
        self._bound = bound
        self._prefix = prefix
        self._runs_bound = runs_bound
        self._steps_bound = steps_bound
        self._spans_bound = spans_bound
        self._in_span = False

    def of(self, node: Node) -> str:  # noqa: PLR0911 - one a kind
        """Return the condition that a resolved filter stands for.

        Raises:
            TypeError: an age in it has not been resolved.
        """
        match node:
            case And(parts):
                return "(" + " AND ".join(self.of(part) for part in parts) + ")"
            case Or(parts):
                return "(" + " OR ".join(self.of(part) for part in parts) + ")"
            case Not(part):
                return f"NOT {self.of(part)}"
            case AnySpan(condition):
                return self._with_span(condition)
            case Compare(subject, sign, value) if sign in _OPPOSITE:
                return f"NOT {self._compared(subject, _OPPOSITE[sign], [value])}"
            case Compare(subject, sign, value):
                return self._compared(subject, sign, [value])
            case OneOf(subject, values, negated):
                return ("NOT " if negated else "") + self._compared(subject, "=", values)
            case IsNull(subject, negated):
                return ("NOT " if negated else "") + self._unknown(subject)

    def _compared(self, subject: Subject, sign: str, values: Sequence[Value]) -> str:
        """Return the condition that the subject stands so to one of the values."""
        match subject:
            case Name(name):
                return self._field(name, sign, values)
            case Figure("budget", name, figure):
                return self._any(f"ifNull({self._budget(name, figure)} {sign} @, 0)", values)
            case Figure(_, name, figure):
                tool = self._bound.value("String", name)
                fragments = {"tool": tool, "bound": self._steps_bound}
                return self._counted("filter_tool_figure", fragments, FIGURE_EXPRESSIONS[figure], sign, values)
            case Score(name):
                value = self._either("label", "value", sign, values)
                return self._scored(f"{self._score_named(name)} AND {value}")
            case Attr(_) if not self._in_span:
                return self._with_span(_again(subject, sign, values))
            case Attr(key):
                text, there = self._attribute(key)
                return f"({there} AND {self._either(text, f'toFloat64OrNull({text})', sign, values)})"

    def _unknown(self, subject: Subject) -> str:  # noqa: PLR0911 - one a kind
        match subject:
            case Name("complete"):
                return f"NOT {self._told()}"
            case Name("tool") if not self._in_span:
                return f"NOT {self._with_step(_SOME_TOOL)}"
            case Name(name):
                column, kind = self._column(name)
                if kind is Kind.LIST:
                    return f"NOT arrayExists(x -> x != '', {column})"
                return f"empty({column})" if kind in _TEXTUAL else f"isNull({column})"
            case Figure(_, name, figure):
                return f"isNull({self._budget(name, figure)})"
            case Score(name):
                return f"NOT {self._scored(self._score_named(name))}"
            case Attr(_) if not self._in_span:
                return f"NOT {self._with_span(IsNull(subject, negated=True))}"
            case Attr(key):
                return f"NOT {self._attribute(key)[1]}"

    def _field(self, name: str, sign: str, values: Sequence[Value]) -> str:  # noqa: PLR0911 - one a kind
        if name == "text":
            return self._searched(values)
        if not self._in_span:
            match name:
                case "tool":
                    return self._with_step(f"{_SOME_TOOL} AND {self._textual('tool', sign, values)}")
                case "stop_reason" if sign == "=":
                    whole = (self._textual(f"{self._prefix}{column}", sign, values) for column in ("stop_code", name))
                    return "(" + " OR ".join(whole) + ")"
                case "audit_stored":
                    return self._counted("filter_audit_stored", {}, "uniqExact(seq)", sign, values)
                case "complete":
                    return self._complete(wanted=bool(values[0]))
        column, kind = self._column(name)
        if kind in _TEXTUAL:
            return self._textual(column, sign, values)
        if kind is Kind.LIST:
            if sign == "~":
                return f"arrayExists(x -> {self._textual('x', sign, values)}, {column})"
            return f"hasAny({column}, {self._bound.value('Array(String)', list(values))})"
        return self._any(f"ifNull({column} {sign} @, 0)", values)

    def _column(self, name: str) -> tuple[str, Kind]:
        if self._in_span:
            return SPAN_EXPRESSIONS.get(name, name), SPAN_FIELDS[name].kind
        return RUN_EXPRESSIONS.get(name, f"@{name}").replace("@", self._prefix), RUN_FIELDS[name].kind

    def _textual(self, column: str, sign: str, values: Sequence[Value]) -> str:
        if sign == "=":
            return f"{column} IN {self._bound.value('Array(String)', list(values))}"
        return self._any(f"positionCaseInsensitiveUTF8({column}, @) > 0", values)

    def _either(self, text: str, number: str, sign: str, values: Sequence[Value]) -> str:
        """Compare with a column of texts or one of numbers, by what each value is."""
        ways = []
        for value in values:
            if isinstance(value, str):
                ways.append(self._textual(text, sign, [value]))
            else:
                ways.append(self._any(f"ifNull({number} {sign} @, 0)", [value]))
        return "(" + " OR ".join(ways) + ")"

    def _any(self, template: str, values: Sequence[Value]) -> str:
        return "(" + " OR ".join(template.replace("@", self._placeholder(value)) for value in values) + ")"

    def _placeholder(self, value: Value) -> str:
        match value:
            case bool():
                return str(int(value))
            case str():
                return self._bound.value("String", value)
            case datetime():
                return f"fromUnixTimestamp64Nano({self._bound.value('Int64', nanos(value))}, 'UTC')"
            case Age():
                msg = "an age must be resolved to a time before the store can compare with it"
                raise TypeError(msg)
            case _:
                return self._bound.value("Float64", value)

    def _searched(self, values: Sequence[Value]) -> str:
        """Return that the text stands in a span or in a run's own columns, as whole words.

        The words come first, since they are what the index of spans knows; several must then stand together too.
        """
        text = str(values[0]).lower()
        known = words(text)
        if self._in_span:
            return self._says(SPAN_WORDS, text, known)
        own = " OR ".join(self._says(f"lowerUTF8({self._prefix}{column})", text, known) for column in RUN_SEARCHED)
        return f"({own} OR {self._with_span(Compare(Name('text'), '~', values[0]))})"

    def _says(self, lower: str, text: str, known: list[str]) -> str:
        together = f"position({lower}, {self._bound.value('String', text)}) > 0"
        if not known:
            return f"({together})"
        said = f"hasAllTokens({lower}, {self._bound.value('Array(String)', known)})"
        return said if known == [text] else f"({said} AND {together})"

    def _with_span(self, condition: Node) -> str:
        self._in_span = True
        where = self.of(condition)
        self._in_span = False
        return self._of_run_or_trace(self._statement("filter_spans", where=where, bound=self._spans_bound))

    def _with_step(self, where: str) -> str:
        statement = self._statement("filter_steps", where=where, bound=self._steps_bound)
        return f"({self._prefix}tenant, {self._prefix}run_id) IN ({statement})"

    def _scored(self, where: str) -> str:
        statements = (self._statement(name, where=where) for name in ("filter_scores", "filter_answer_scores"))
        return "(" + " OR ".join(self._of_run_or_trace(statement) for statement in statements) + ")"

    def _score_named(self, name: str) -> str:
        return f"name = {self._bound.value('String', name)}"

    def _of_run_or_trace(self, statement: str) -> str:
        ways = (f"({self._prefix}tenant, {self._prefix}{column}) IN ({statement})" for column in ("run_id", "trace_id"))
        return "(" + " OR ".join(ways) + ")"

    def _counted(
        self, statement: str, fragments: dict[str, str], figure: str, sign: str, values: Sequence[Value]
    ) -> str:
        """Runs without a row are in no group: where none of them would do, those in a group that fails are out."""
        holds = self._any(f"{figure} {sign} @", values)
        nothing_does = any(_ORDER[sign](0, _number(value)) for value in values)
        text = self._statement(statement, **fragments, having=f"NOT {holds}" if nothing_does else holds)
        return f"({self._prefix}tenant, {self._prefix}run_id) {'NOT IN' if nothing_does else 'IN'} ({text})"

    def _told(self) -> str:
        return f"(isNotNull({self._prefix}spans_expected) OR isNotNull({self._prefix}audit_expected))"

    def _complete(self, *, wanted: bool) -> str:
        missing = self._statement("runs_incomplete", bound=self._runs_bound)
        key = f"({self._prefix}tenant, {self._prefix}run_id)"
        return f"({self._told()} AND {key} {'NOT IN' if wanted else 'IN'} ({missing}))"

    def _budget(self, name: str, figure: str) -> str:
        path = f"{self._bound.value('String', name)}, '{figure}'"
        return f"JSONExtract({self._prefix}budget, {path}, 'Nullable(Float64)')"

    def _attribute(self, key: str) -> tuple[str, str]:
        name = self._bound.value("String", key)
        text = f"if(mapContains(attributes, {name}), attributes[{name}], resource[{name}])"
        return text, f"(mapContains(attributes, {name}) OR mapContains(resource, {name}))"

    def _statement(self, name: str, **fragments: str) -> str:
        return sql.compose(_PACKAGE, name, **fragments)


def words(text: str) -> list[str]:
    """Return a lowered text's words as the store's index has them: runs of letters and digits, and all beyond ASCII."""
    return list(dict.fromkeys(_WORD.findall(text)))


def _again(subject: Subject, sign: str, values: Sequence[Value]) -> Node:
    return Compare(subject, sign, values[0]) if len(values) == 1 else OneOf(subject, tuple(values))


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return value
