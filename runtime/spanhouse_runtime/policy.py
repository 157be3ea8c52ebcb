"""Which tool calls an agent may make: rules over who asks, tool, resources and arguments; first match wins.

No match is a denial. A grant lifts a denial that no rule has said, or a question, for a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from spanhouse.canonical import args_hash, canonical_json
from spanhouse_runtime.policies import resources
from spanhouse_runtime.traits import Action

ALLOWLIST_RULE: Final = "allowlist"
DEFAULT_RULE: Final = "default"
ALWAYS_ASK_RULE: Final = "always_ask"
ALWAYS_ASK: Final = frozenset({Action.DELETE, Action.MONEY})
"""Actions a person is asked about whatever a policy allows."""
_ABSENT: Final = object()

Glob = Annotated[str, Field(min_length=1)]
"""A shell-style pattern: ``*``, ``?`` and ``[abc]``. Not a regular expression, so no argument can stall a decision."""


ResourceGlob = Annotated[str, Field(min_length=1), AfterValidator(resources.check_pattern)]
"""A glob over normalised paths and URLs; see ``spanhouse_runtime.policies.resources``."""


def _listed(said: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return [said] if isinstance(said, str) else said


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Several names; one alone needs no list around it."""
ResourceGlobs = Annotated[tuple[ResourceGlob, ...], BeforeValidator(_listed)]


class Decision(StrEnum):
    """What a policy says about a call."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A policy's decision on one call.

    Attributes:
        decision: allow, deny or ask.
        rule: what made it.
        why: its reason.
        can_be_lifted: a grant may let the call through all the same.
    """

    decision: Decision
    rule: str
    why: str = ""
    can_be_lifted: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a call is made; bound from who was authenticated, never from what a model says.

    Attributes:
        roles: the caller's.
        tenant, user_id, agent, run_id: empty where not known.
        at: when; None is now.
    """

    roles: frozenset[str] = frozenset()
    tenant: str = ""
    user_id: str = ""
    agent: str = ""
    run_id: str = ""
    at: datetime | None = None


NOBODY: Final = Caller()


class CallPolicy(Protocol):
    """Decides on tool calls; ``Policy`` is one, ``policies.cedar.CedarPolicy`` another."""

    @property
    def on_deny(self) -> Literal["stop", "tell_model"]:
        """Whether a denial ends the run, or is told to the model."""

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the policy does."""

    def decide(self, tool: str, arguments: Mapping[str, Any], caller: Caller = NOBODY, *, action: str = "") -> Verdict:
        """Return the decision on a call; ``action`` is what the tool is declared to do, empty where it is not."""


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


class Scoped(BaseModel):
    """What rules and grants have in common: the calls they speak about.

    Attributes:
        name: what audit events and spans call it.
        tool: glob over the tool's name.
        roles: the caller has one of these; empty for any caller.
        resources: globs by the argument that holds a path or URL. An absent argument meets none. Of a list of paths all
            must match to be allowed, and one is enough to be denied or asked about.
        arguments: conditions by argument name; ``customer.country`` looks inside an object. An absent argument
            meets no condition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    tool: Glob
    roles: Names = ()
    resources: dict[str, ResourceGlobs] = Field(default_factory=dict)
    arguments: dict[str, Condition] = Field(default_factory=dict)

    @property
    def lets_through(self) -> bool:
        """Whether a call this speaks of is made; then resources are compared strictly, else generously."""
        return True

    def matches(self, tool: str, arguments: Mapping[str, Any], caller: Caller = NOBODY) -> bool:
        """Return whether this speaks of the call.

        Raises:
            Unanswerable: a condition cannot be judged on the argument; the message names it.
        """
        if not fnmatchcase(tool, self.tool) or (self.roles and caller.roles.isdisjoint(self.roles)):
            return False
        for path, globs in self.resources.items():
            if not _touches(path, _look_up(arguments, path), globs, lets_through=self.lets_through):
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


class Rule(Scoped):
    """One rule of a policy: if it speaks of a call, its decision holds.

    Attributes:
        decision: allow, deny or ask (a person).
        why: told to the model and written to the audit event.
    """

    decision: Decision
    why: str = ""

    @property
    def lets_through(self) -> bool:
        """Whether the rule allows."""
        return self.decision is Decision.ALLOW


class Grant(Scoped):
    """Leave for some calls until a time: what would be denied by default or asked is let through.

    A rule that says deny stands, and so does the question before a deletion or a payment.

    Attributes:
        tenant, user, agent, run: globs; for whom it holds.
        until: when it ends.
        by, why: who gave it, and the reason.
    """

    tenant: Glob = "*"
    user: Glob = "*"
    agent: Glob = "*"
    run: Glob = "*"
    until: AwareDatetime
    by: str = Field(min_length=1)
    why: str = ""

    def covers(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> bool:
        """Return whether the call is let through by this now. What cannot be judged is not."""
        if (caller.at or datetime.now(UTC)) >= self.until:
            return False
        held = (caller.tenant, self.tenant), (caller.user_id, self.user), (caller.agent, self.agent)
        if not all(fnmatchcase(value, glob) for value, glob in (*held, (caller.run_id, self.run))):
            return False
        try:
            return self.matches(tool, arguments, caller)
        except Unanswerable:
            return False

    @property
    def rule(self) -> str:
        """What audit events call a decision by this grant."""
        return f"grant:{self.name}"


class Policy(BaseModel):
    """Which tool calls are let through: the first rule that matches, else the allowlist, else a denial.

    Attributes:
        rules: looked at in order.
        allow: globs of the tools that need no rule of their own.
        grants: exceptions that end.
        actions: what tools do to the world, by glob, for those that do not declare it.
        on_deny: ``stop`` ends the run with ``policy_deny:<tool>``; ``tell_model`` answers the call with an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    allow: tuple[Glob, ...] = ()
    grants: tuple[Grant, ...] = ()
    actions: dict[Glob, Action] = Field(default_factory=dict)
    on_deny: Literal["stop", "tell_model"] = "stop"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Policy:
        for what, names in (("rule", [r.name for r in self.rules]), ("grant", [g.name for g in self.grants])):
            taken = {ALLOWLIST_RULE, DEFAULT_RULE, ALWAYS_ASK_RULE}
            doubled = sorted({name for name in names if names.count(name) > 1} | ({*names} & taken))
            if doubled:
                known = ", ".join(map(repr, sorted(taken)))
                msg = f"{what} names must differ from one another and from {known}: {doubled}"
                raise ValueError(msg)
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever the policy does."""
        return args_hash(self.model_dump(mode="json"))

    def decide(self, tool: str, arguments: Mapping[str, Any], caller: Caller = NOBODY, *, action: str = "") -> Verdict:
        """Return the decision on a call whose arguments have been checked against the tool's schema.

        A rule that cannot be judged denies: an odd argument must not slip past a rule that was meant for it.
        """
        verdict = lifted(self._by_rules(tool, arguments, caller), self.grants, tool, arguments, caller)
        done = action or self.action_of(tool)
        if verdict.decision is Decision.ALLOW and done in ALWAYS_ASK:
            return Verdict(Decision.ASK, ALWAYS_ASK_RULE, f"{done} is always asked; rule {verdict.rule!r} allows it")
        return verdict

    def action_of(self, tool: str) -> str:
        """Return what the policy says a tool does to the world; empty where it says nothing."""
        return next((action for glob, action in self.actions.items() if fnmatchcase(tool, glob)), "")

    def _by_rules(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> Verdict:
        for rule in self.rules:
            try:
                if rule.matches(tool, arguments, caller):
                    return Verdict(rule.decision, rule.name, rule.why, rule.decision is Decision.ASK)
            except Unanswerable as problem:
                return Verdict(Decision.DENY, rule.name, f"cannot be judged: {problem}")
        if any(fnmatchcase(tool, glob) for glob in self.allow):
            return Verdict(Decision.ALLOW, ALLOWLIST_RULE)
        return Verdict(Decision.DENY, DEFAULT_RULE, f"{tool} is not on the allowlist", can_be_lifted=True)


def lifted(
    verdict: Verdict, grants: Iterable[Grant], tool: str, arguments: Mapping[str, Any], caller: Caller
) -> Verdict:
    """Return the verdict, or one that allows where it can be lifted and a grant covers the call."""
    if verdict.can_be_lifted:
        for grant in grants:
            if grant.covers(tool, arguments, caller):
                until = f"granted by {grant.by} until {grant.until.isoformat()}"
                return Verdict(Decision.ALLOW, grant.rule, f"{until}: {grant.why}" if grant.why else until)
    return verdict


def _touches(path: str, value: Any, globs: tuple[str, ...], *, lets_through: bool) -> bool:  # noqa: ANN401 - JSON
    if value is _ABSENT:
        return False
    named = value if isinstance(value, list | tuple) else [value]
    found: list[bool] = []
    for one in named:
        if not isinstance(one, str):
            msg = f"argument {path!r}: {canonical_json(one)[:80]!r} is no path or URL"
            raise Unanswerable(msg)
        try:
            resource = resources.normalised(one)
        except resources.Ambiguous as problem:
            msg = f"argument {path!r}: {one[:80]!r} could mean several things: {problem}"
            raise Unanswerable(msg) from None
        # A file system that knows no case must not let /ETC past a rule about /etc.
        found.append(any(resources.matches(resource, glob, any_case=not lets_through) for glob in globs))
    return bool(found) and (all(found) if lets_through else any(found))


def _look_up(arguments: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON-like value
    value: Any = arguments
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value
