"""Rules files checked and loaded: every finding at once, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from spanhouse_alerts import rules as models
from spanhouse_alerts.durations import format_duration
from spanhouse_alerts.metric_samples import FILTERS
from spanhouse_alerts.rules import BudgetRule, RatioRule, RuleSet
from spanhouse_alerts.source import MAX_BYTES, Problem, RulesError, Source, read
from spanhouse_analysis.metrics import MetricError, MetricQuery, catalogue

DEFAULT_RULES = Path(__file__).with_name("default_rules.yaml")
"""The rules that hold where the operator gives none."""


def check(text: str) -> list[Problem]:
    """Return what is wrong with a rules text, in line order; an empty list means it can be loaded."""
    try:
        loads(text)
    except RulesError as error:
        return error.problems
    return []


def load(path: Path | str) -> RuleSet:
    """Return the rules of a file.

    Raises:
        RulesError: the file cannot be read, or its rules cannot be used; `RulesError.problems` has every finding.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise RulesError([Problem(1, f"cannot read {path}: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise RulesError([Problem(1, f"{path} is not UTF-8 text: byte {error.start} cannot be read")]) from error
    return loads(text)


def loads(text: str) -> RuleSet:
    """Return the rules of a YAML text.

    Raises:
        RulesError: the rules cannot be used; `RulesError.problems` has every finding.
    """
    source = read(text)
    if not isinstance(source.data, dict):
        raise RulesError([Problem(1, "the file holds no mapping: start with 'version: 1' and 'rules:'")])
    try:
        rule_set = RuleSet.model_validate(source.data)
    except ValidationError as error:
        problems = [_problem(dict(found), source) for found in error.errors(include_url=False, include_context=False)]
        raise RulesError(_ordered(problems)) from error
    problems = list(_cross_checks(rule_set, source))
    if problems:
        raise RulesError(_ordered(problems))
    return rule_set


def schema() -> dict[str, Any]:
    """Return the JSON schema of a rules file, for editors."""
    return RuleSet.model_json_schema(by_alias=True)


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line)


def _cross_checks(rule_set: RuleSet, source: Source) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for i, rule in enumerate(rule_set.rules):
        line = source.line(("rules", i, "id"))
        if rule.id in lines:
            yield Problem(line, f"rule id {rule.id!r} is taken by the rule on line {lines[rule.id]}: choose another")
        lines.setdefault(rule.id, line)
        if isinstance(rule, RatioRule):
            yield from _ratio_checks(rule, i, rule_set, source)
        yield from _dimension_checks(rule, i, source)
    yield from _route_checks(rule_set, source, lines)


def _dimension_checks(rule: RatioRule | BudgetRule, i: int, source: Source) -> Iterator[Problem]:
    for name in rule.filters:
        if name not in FILTERS:
            yield Problem(source.line(("rules", i, "filters", name)), _unknown("filter", name, FILTERS))
    if isinstance(rule, RatioRule) and rule.metric not in _ratios():
        return
    try:
        MetricQuery([rule.metric], by=rule.dimensions).metrics()
    except MetricError as error:
        key = "by" if isinstance(rule, RatioRule) else "per"
        yield Problem(source.line(("rules", i, key)), str(error))


def _route_checks(rule_set: RuleSet, source: Source, rule_lines: Mapping[str, int]) -> Iterator[Problem]:
    for i, route in enumerate(rule_set.routes):
        line = source.line(("routes", i, "to"))
        for name in route.to:
            if name not in rule_set.receivers:
                yield Problem(line, _unknown("receiver", name, rule_set.receivers))
        if route.match.rule is not None and route.match.rule not in rule_lines:
            yield Problem(source.line(("routes", i, "match", "rule")), _unknown("rule", route.match.rule, rule_lines))
    for i, earlier in enumerate(rule_set.routes[:-1]):
        if earlier.match.severity is None and earlier.match.rule is None:
            text = "this route takes every alert, so those below it never count: move it last"
            yield Problem(source.line(("routes", i)), text)


def _ratio_checks(rule: RatioRule, i: int, rule_set: RuleSet, source: Source) -> Iterator[Problem]:
    if rule.metric not in _ratios():
        yield Problem(source.line(("rules", i, "metric")), _unknown("ratio metric", rule.metric, _ratios()))
    if rule.window.rolling < rule_set.defaults.interval:
        interval = format_duration(rule_set.defaults.interval)
        yield Problem(
            source.line(("rules", i, "window", "rolling")),
            f"window {format_duration(rule.window.rolling)} is shorter than the interval {interval}: "
            "runs between two evaluations would never be seen",
        )


def _ratios() -> frozenset[str]:
    return frozenset(metric.name for metric in catalogue() if metric.kind == "ratio")


def _unknown(what: str, name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    close = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {name!r}: {hint}"


def _problem(found: Mapping[str, Any], source: Source) -> Problem:
    path = _path(found["loc"], source)
    line = source.line(path)
    where = ".".join(str(part) for part in path)
    prefix = f"{where}: " if where else ""
    last = str(found["loc"][-1]) if found["loc"] else ""
    match found["type"]:
        case "extra_forbidden":
            return Problem(line, _unknown("key", last, _KEYS))
        case "missing":
            return Problem(line, f"{prefix}the key {last!r} is missing")
        case "union_tag_not_found":
            return Problem(line, f"{prefix}the key 'kind' is missing: write kind: ratio or kind: budget")
        case "union_tag_invalid":
            return Problem(line, f"{prefix}unknown kind {found['input'].get('kind')!r}: write ratio or budget")
        case "value_error":
            return Problem(line, prefix + str(found["msg"]).removeprefix("Value error, "))
        case _:
            written = found["input"]
            shown = f" (written: {written!r})" if isinstance(written, str | int | float | bool | None) else ""
            return Problem(line, f"{prefix}{found['msg']}{shown}")


def _path(location: Sequence[str | int], source: Source) -> tuple[str | int, ...]:
    """Return the path in the file: pydantic's location without the union tags and keys the file does not have."""
    path: tuple[str | int, ...] = ()
    for part in location:
        if (*path, part) in source.lines:
            path = (*path, part)
    return path


def _keys() -> frozenset[str]:
    found = [value for value in vars(models).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    return frozenset(field.alias or name for model in found for name, field in model.model_fields.items())


_KEYS = _keys()
