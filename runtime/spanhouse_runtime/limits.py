"""The limits a run keeps to, with the defaults every run has unless it is given others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spanhouse.errors import ConfigurationError

CHANGEABLE: Final = ("max_steps", "max_tool_calls", "max_seconds", "max_usd", "max_tokens", "max_output_tokens")
"""The limits an operator may change while a run goes."""


class Limits(BaseModel):
    """The limits of one run. The defaults stop a run that got lost, and leave money and tokens open until they are set.

    Attributes:
        max_steps: turns of the loop; one model call and the tool calls it asked for are one turn.
        max_tool_calls: tool calls that were let through, replays included.
        max_seconds: seconds since the run began.
        max_usd: dollars for model calls; None is no limit. With a limit, a model without a price is refused.
        max_tokens: input and output tokens of all model calls; None is no limit.
        max_output_tokens: output tokens asked of one model call.
        tool_timeout_seconds: seconds a tool may take, where the tool says nothing else.
        tool_result_bytes: bytes of a tool's result that reach the model; the rest is cut and the cut is marked.
        equal_failures: failures of one tool in a row with the same error that exhaust the tool.
        warn_at: share of a limit at which one warning is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_steps: int = Field(default=20, gt=0)
    max_tool_calls: int = Field(default=100, gt=0)
    max_seconds: float = Field(default=300.0, gt=0)
    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, gt=0)
    max_output_tokens: int = Field(default=4_000, gt=0)
    tool_timeout_seconds: float = Field(default=30.0, gt=0)
    tool_result_bytes: int = Field(default=65_536, ge=256)
    equal_failures: int = Field(default=3, gt=0)
    warn_at: float = Field(default=0.8, gt=0, le=1)


def bounded(limits: Limits, budget: Mapping[str, float]) -> Limits:
    """Return limits that are no looser than a budget, such as the one the caller of a request has.

    Raises:
        ConfigurationError: the budget names a limit that there is not, or no amount.
    """
    if not budget:
        return limits
    found = LimitsInForce(limits)
    found.tighten(budget)
    return found.now


class LimitsInForce:
    """A run's limits as they are now: what it was given or an operator raised, and the strictest of what tightens it.

    Safe for threads.

    Attributes:
        now: the limits in force.

    Args:
        given: what the run starts with.
    """

    def __init__(self, given: Limits) -> None:
        self.now = given
        self._raised = given
        self._tightened: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def tighten(self, limits: Mapping[str, float], flag_id: str = "") -> Changes:
        """Lower the named limits; those that are lower already stay. Said again under one id it replaces what was said.

        Raises:
            ConfigurationError: a limit cannot be changed, or not to this value.
        """
        checked = _checked(self._raised, limits)
        with self._lock:
            self._tightened[flag_id] = checked
            return self._settle()

    def lift(self, flag_id: str = "") -> Changes:
        """Take back what was tightened under this id; nothing where nothing was."""
        with self._lock:
            self._tightened.pop(flag_id, None)
            return self._settle()

    def raise_to(self, limits: Mapping[str, float]) -> Changes:
        """Raise the named limits; those that are higher already stay, and what tightens them holds on.

        Raises:
            ConfigurationError: a limit cannot be changed, or not to this value.
        """
        checked = _checked(self._raised, limits)
        with self._lock:
            has = {name: getattr(self._raised, name) for name in checked}
            higher = {name: value for name, value in checked.items() if has[name] is not None and value > has[name]}
            self._raised = self._raised.model_copy(update=higher)
            return self._settle()

    def _settle(self) -> Changes:
        strictest: dict[str, float] = {}
        for said in self._tightened.values():
            for name, value in said.items():
                raised = getattr(self._raised, name)
                if raised is None or value < raised:
                    strictest[name] = min(value, strictest.get(name, value))
        before, self.now = self.now, self._raised.model_copy(update=strictest)
        return {
            name: (getattr(before, name), getattr(self.now, name))
            for name in CHANGEABLE
            if getattr(before, name) != getattr(self.now, name)
        }


Changes = Mapping[str, tuple[float | None, float | None]]
"""Limits that changed, by name: what they were and what they are; None is no limit."""


def _checked(base: Limits, said: Mapping[str, float]) -> dict[str, Any]:
    if unknown := sorted(set(said) - set(CHANGEABLE)):
        msg = f"no limit of a run in progress is called {unknown[0]!r}: there are {', '.join(CHANGEABLE)}"
        raise ConfigurationError(msg)
    try:
        made = Limits.model_validate({**base.model_dump(), **said})
    except ValidationError as problem:
        wrong = problem.errors(include_url=False)[0]
        msg = f"{'.'.join(map(str, wrong['loc']))} cannot be {wrong['input']!r}: {wrong['msg']}"
        raise ConfigurationError(msg) from problem
    return {name: getattr(made, name) for name in said if getattr(made, name) is not None}
