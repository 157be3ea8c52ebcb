"""A filter's text to its tree, by recursive descent; whatever is wrong is said with its place.

expression = all, { "or", all } ;
all        = one, { "and", one } ;
one        = "not", one | "(", expression, ")" | "span", "(", expression, ")" | condition ;
condition  = subject, ( operator, value | [ "not" ], "in", "(", value, { ",", value }, ")" | "is", [ "not" ], "null" )
| flag ;
subject    = field | "tool", "(", text, ")", ".", figure | "budget", "(", text, ")", ".", figure
| "score", "(", text, ")" | "attr", "(", text, ")" ;
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from spanhouse.filters.errors import FilterError, nearest
from spanhouse.filters.fields import ATTR, FIGURES, FUNCTIONS, RUN_FIELDS, SCORE, SPAN_FIELDS, Field, Kind
from spanhouse.filters.nodes import (
    AnySpan,
    Attr,
    Compare,
    Figure,
    IsNull,
    Name,
    Node,
    Not,
    OneOf,
    Score,
    Subject,
    Value,
    all_of,
    any_of,
)
from spanhouse.filters.scanning import Mark, Scanner
from spanhouse.filters.values import value_of
from spanhouse.filters.writing import KEYWORDS

LONGEST: Final = 8_000
DEEPEST: Final = 40
MOST_CONDITIONS: Final = 200
_ORDERING: Final = frozenset({">", ">=", "<", "<="})
_TRUTHS: Final = frozenset({"true", "false"})


def parse(text: str) -> Node:
    """Return the tree of a filter.

    Raises:
        FilterError: it cannot be read; the error says why, where, and what may stand there.
    """
    if len(text) > LONGEST:
        reason = f"the filter has {len(text):,} characters: the longest has {LONGEST:,}"
        raise FilterError(reason, text, LONGEST)
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._scan = Scanner(text)
        self._scope = "run"
        self._depth = 0
        self._conditions = 0

    def whole(self) -> Node:
        if self._scan.ended():
            self._fail("the filter is empty: write a condition, such as stop_reason = max_usd", self._scan.rest())
        found = self._expression()
        if not self._scan.ended():
            rest = self._scan.rest()
            self._fail(f"{rest.text[:60]!r} cannot follow a condition: write and, or, or nothing more", rest)
        return found

    def _expression(self) -> Node:
        parts = [self._all()]
        while self._scan.take_word("or"):
            parts.append(self._all())
        found = any_of(parts)
        assert found is not None
        return found

    def _all(self) -> Node:
        parts = [self._one()]
        while self._scan.take_word("and"):
            parts.append(self._one())
        found = all_of(parts)
        assert found is not None
        return found

    def _one(self) -> Node:
        here = self._scan.rest()
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"the filter is nested more than {DEEPEST} deep", here)
        if self._scan.take_word("not"):
            found: Node = Not(self._one())
        elif self._scan.take("("):
            found = self._expression()
            self._close()
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _close(self) -> None:
        if not self._scan.take(")"):
            rest = self._scan.rest()
            self._fail("a closing parenthesis is missing: write and, or, or )", rest)

    def _condition(self) -> Node:
        self._conditions += 1
        name = self._scan.take_name()
        if name is None or name.text.lower() in KEYWORDS:
            at = name or self._scan.rest()
            what = f"{at.text[:60]!r} stands where" if at.text else "the filter ends where"
            self._fail(f"{what} a condition must begin: write a field, {self._functions()}, not, or (", at)
        if self._conditions > MOST_CONDITIONS:
            self._fail(f"the filter has more than {MOST_CONDITIONS} conditions", name)
        if name.text == "span" and self._scope == "run" and self._scan.take("("):
            return self._any_span()
        subject, field = self._subject(name)
        return self._compared(subject, field, name)

    def _any_span(self) -> Node:
        self._scope = "span"
        condition = self._expression()
        self._scope = "run"
        self._close()
        return AnySpan(condition)

    def _subject(self, name: Mark) -> tuple[Subject, Field]:
        fields = RUN_FIELDS if self._scope == "run" else SPAN_FIELDS
        aliases = {alias: field for field in fields.values() for alias in field.aliases}
        functions = FUNCTIONS[self._scope]
        if name.text in functions and self._scan.take("("):
            return self._called(name)
        field = fields.get(name.text) or aliases.get(name.text)
        if field is None:
            where = "" if self._scope == "run" else " of spans"
            known = [*fields, *(f"{function}(…)" for function in functions)]
            self._fail(f"unknown field{where} {name.text[:60]!r}: {nearest(name.text, known, aliases)}", name)
        return Name(field.name), field

    def _called(self, name: Mark) -> tuple[Subject, Field]:
        argument = self._scan.take_quoted()
        if argument is None:
            self._fail(f'{name.text}(…) takes a text in quotes, such as {name.text}("name")', self._scan.rest())
        self._close()
        if name.text == "score":
            return Score(argument.text), SCORE
        if name.text == "attr":
            return Attr(argument.text), ATTR
        figures = FIGURES[name.text]
        known = " ".join(f".{figure}" for figure in figures)
        if not self._scan.take("."):
            self._fail(f'{name.text}("…") must be followed by one of {known}', self._scan.rest())
        figure = self._scan.take_name()
        if figure is None or figure.text not in figures:
            at = figure or self._scan.rest()
            self._fail(f"unknown figure {at.text[:60]!r} of {name.text}: {nearest(at.text, figures)}", at)
        return Figure(name.text, argument.text, figure.text), figures[figure.text]

    def _compared(self, subject: Subject, field: Field, name: Mark) -> Node:
        if self._scan.take_word("not", "in"):
            return self._one_of(subject, field, name, negated=True)
        if self._scan.take_word("in"):
            return self._one_of(subject, field, name, negated=False)
        if self._scan.take_word("is"):
            self._allow("is", field, name)
            negated = self._scan.take_word("not")
            if not self._scan.take_word("null"):
                self._fail("after is stands null or not null", self._scan.rest())
            return IsNull(subject, negated)
        operator = self._scan.take_operator()
        if operator is None:
            if field.kind is Kind.FLAG:
                return Compare(subject, "=", value=True)
            self._fail(f"{field.name} needs an operator: {_listed(field.kind.operators)}", self._scan.rest())
        self._allow(operator.text, field, operator)
        before = self._scan.rest()
        value = self._value(field, check=operator.text in {"=", "!="}, as_text=operator.text in {"~", "!~"})
        if isinstance(value, str) and operator.text in _ORDERING:
            self._fail(f"texts have no order: write a number after {operator.text}", before)
        return Compare(subject, operator.text, value)

    def _one_of(self, subject: Subject, field: Field, name: Mark, *, negated: bool) -> Node:
        self._allow("in", field, name)
        if not self._scan.take("("):
            self._fail("after in stands a list in parentheses, such as in (a, b)", self._scan.rest())
        values = [self._value(field, check=True)]
        while self._scan.take(","):
            values.append(self._value(field, check=True))
        self._close()
        return OneOf(subject, tuple(values), negated)

    def _value(self, field: Field, *, check: bool, as_text: bool = False) -> Value:
        mark = self._scan.take_value()
        words = KEYWORDS - _TRUTHS if field.kind in {Kind.FLAG, Kind.VALUE} else KEYWORDS
        if mark is None or (not mark.quoted and mark.text.lower() in words):
            at = mark or self._scan.rest()
            what = f"{at.text[:60]!r} is no value here" if at.text else "a value is missing"
            self._fail(f"{what}: write {field.kind.example}", at)
        try:
            value = value_of(field, mark.text, quoted=mark.quoted or as_text)
        except ValueError as error:
            self._fail(str(error), mark)
        if check and field.choices:
            code = mark.text.partition(":")[0] if field.name == "stop_reason" else mark.text
            if code not in field.choices:
                self._fail(f"{field.name} is never {mark.text[:60]!r}: {nearest(code, field.choices)}", mark)
        return value

    def _allow(self, operator: str, field: Field, at: Mark) -> None:
        if operator not in field.kind.operators:
            about = f"{field.name} ({field.kind.label})"
            self._fail(f"{about} cannot be compared with {operator}: use {_listed(field.kind.operators)}", at)

    def _functions(self) -> str:
        return ", ".join(f"{function}(…)" for function in FUNCTIONS[self._scope])

    def _fail(self, reason: str, at: Mark) -> NoReturn:
        raise FilterError(reason, self._scan.text, at.position, at.length)


def _listed(operators: Iterable[str]) -> str:
    words = {"in": "in (…)", "is": "is null"}
    return " ".join(words.get(operator, operator) for operator in operators)
