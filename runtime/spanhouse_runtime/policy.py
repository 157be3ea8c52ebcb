"""Which tool calls an agent may make: rules over tool name and arguments, first match wins, no match is a denial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spanhouse.canonical import args_hash, canonical_json

ALLOWLIST_RULE: Final = "allowlist"
DEFAULT_RULE: Final = "default"
_ABSENT: Final = object()

Glob = Annotated[str, Field(min_length=1)]
"""A shell-style pattern: ``*``, ``?`` and ``[abc]``. Not a regular expression, so no argument can stall a decision."""


class Decision(StrEnum):
    """What a policy says about a call."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A policy's decision on one call, with the rule that made it and why."""

    decision: Decision
    rule: str
    why: str = ""


class Unanswerable(Exception):  # noqa: N818 - a signal inside this module, turned into a denial
    """A condition cannot be judged on the value it was given."""


class Condition(BaseModel):
    """What one argument must be for a rule to match: every part that is given must hold.

    Attributes:
        equals: the argument equals this value.
        prefix: its text begins with this.
        pattern: its text matches this glob.
        at_least, at_most: it is a number within these bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    equals: str | int | float | bool | None = None
    prefix: str | None = None
    pattern: Glob | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.model_fields_set:
            msg = "a condition needs one of: equals, prefix, pattern, at_least, at_most"
            raise ValueError(msg)
        return self

    def holds(self, value: Any) -> bool:  # noqa: ANN401 - any JSON-like value
        """Return whether the value meets the condition.

        Raises:
            Unanswerable: a bound is asked of something that is no finite number.
        """
        text = value if isinstance(value, str) else canonical_json(value)
        if "equals" in self.model_fields_set and canonical_json(value) != canonical_json(self.equals):
            return False
        if self.prefix is not None and not text.startswith(self.prefix):
            return False
        if self.pattern is not None and not fnmatchcase(text, self.pattern):
            return False
        if self.at_least is None and self.at_most is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            msg = f"{text[:80]!r} is no finite number"
            raise Unanswerable(msg)
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Rule(BaseModel):
    """One rule of a policy: if tool and arguments match, this decision holds.

    Attributes:
        name: what audit events and spans call the rule.
        tool: glob over the tool's name.
        arguments: conditions by argument name; ``customer.country`` looks inside an object. An absent argument
            meets no condition.
        decision: allow, deny or ask (a person).
        why: told to the model and written to the audit event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    tool: Glob
    arguments: dict[str, Condition] = Field(default_factory=dict)
    decision: Decision
    why: str = ""

    def matches(self, tool: str, arguments: Mapping[str, Any]) -> bool:
        """Return whether the rule speaks about this call.

        Raises:
            Unanswerable: a condition cannot be judged on the argument; the message names it.
        """
        if not fnmatchcase(tool, self.tool):
            return False
        for path, condition in self.arguments.items():
            value = _look_up(arguments, path)
            try:
                if value is _ABSENT or not condition.holds(value):
                    return False
            except Unanswerable as problem:
                msg = f"argument {path!r}: {problem}"
                raise Unanswerable(msg) from None
        return True


class Policy(BaseModel):
    """Which tool calls are let through: the first rule that matches, else the allowlist, else a denial.

    Attributes:
        rules: looked at in order.
        allow: globs of the tools that need no rule of their own.
        on_deny: ``stop`` ends the run with ``policy_deny:<tool>``; ``tell_model`` answers the call with an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    allow: tuple[Glob, ...] = ()
    on_deny: Literal["stop", "tell_model"] = "stop"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Policy:
        names = [rule.name for rule in self.rules]
        doubled = sorted(
            {name for name in names if names.count(name) > 1} | ({*names} & {ALLOWLIST_RULE, DEFAULT_RULE})
        )
        if doubled:
            msg = f"rule names must differ from one another and from {ALLOWLIST_RULE!r} and {DEFAULT_RULE!r}: {doubled}"
            raise ValueError(msg)
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever the policy does."""
        return args_hash(self.model_dump(mode="json"))

    def decide(self, tool: str, arguments: Mapping[str, Any]) -> Verdict:
        """Return the decision on a call whose arguments have been checked against the tool's schema.

        A rule that cannot be judged denies: an odd argument must not slip past a rule that was meant for it.
        """
        for rule in self.rules:
            try:
                if rule.matches(tool, arguments):
                    return Verdict(rule.decision, rule.name, rule.why)
            except Unanswerable as problem:
                return Verdict(Decision.DENY, rule.name, f"cannot be judged: {problem}")
        if any(fnmatchcase(tool, glob) for glob in self.allow):
            return Verdict(Decision.ALLOW, ALLOWLIST_RULE)
        return Verdict(Decision.DENY, DEFAULT_RULE, f"{tool} is not on the allowlist")


def _look_up(arguments: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON-like value
    value: Any = arguments
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value
