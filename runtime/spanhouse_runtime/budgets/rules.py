"""Budgets that outlive a run: for a request, a user, a tenant, everything; and the accounts a call is booked under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import BUDGET_CODES
from spanhouse_runtime.guard.books import Subject
from spanhouse_runtime.money import nano_usd

MILLISECONDS: Final = 1_000


class Scope(StrEnum):
    """Who shares a budget, and for how long. Days and months are those of UTC."""

    REQUEST = "request"
    RUN = "run"
    USER_DAY = "user/day"
    USER_MONTH = "user/month"
    TENANT_DAY = "tenant/day"
    SYSTEM_DAY = "system/day"


class Budget(BaseModel):
    """What one scope may spend; at least one limit.

    Attributes:
        scope: who shares it.
        tenant, user: globs; the budget is for each tenant and user that match. A budget of users without a known user
            is one they share.
        max_steps, max_tool_calls, max_seconds, max_usd, max_tokens: as a run's limits, over all that share it.
        warn_at: share of a limit at which one warning is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scope: Scope
    tenant: str = Field(default="*", min_length=1)
    user: str = Field(default="*", min_length=1)
    max_steps: int | None = Field(default=None, gt=0)
    max_tool_calls: int | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, gt=0)
    warn_at: float = Field(default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if not self.limits:
            msg = f"the budget of {self.scope.value} limits nothing: give one of {', '.join(BUDGET_CODES)}"
            raise ValueError(msg)
        return self

    @property
    def limits(self) -> Mapping[StopCode, int]:
        """The limits that are set, in whole units: milliseconds, nano-dollars, counts."""
        said = {
            StopCode.MAX_STEPS: self.max_steps,
            StopCode.MAX_TOOL_CALLS: self.max_tool_calls,
            StopCode.MAX_SECONDS: None if self.max_seconds is None else round(self.max_seconds * MILLISECONDS),
            StopCode.MAX_USD: None if self.max_usd is None else nano_usd(self.max_usd),
            StopCode.MAX_TOKENS: self.max_tokens,
        }
        return {code: limit for code, limit in said.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Account:
    """Where a call's spending is booked: one scope, one holder, one window of time.

    Attributes:
        key: names it in the store: ``tenant/day|acme|2026-11-20``.
        scope: who shares it.
        limits: the strictest limit of each kind that any budget sets for it.
        warn_at: for each of those, the share at which one warning is given.
    """

    key: str
    scope: Scope
    limits: Mapping[StopCode, int]
    warn_at: Mapping[StopCode, float]


def accounts(budgets: Sequence[Budget], subject: Subject, now: datetime) -> list[Account]:
    """Return the accounts a call of the subject is booked under, by key. ``now`` is an aware time."""
    found: dict[str, Account] = {}
    for budget in budgets:
        if not (fnmatchcase(subject.tenant, budget.tenant) and fnmatchcase(subject.user_id, budget.user)):
            continue
        key = _key(budget.scope, subject, now)
        before = found.get(key) or Account(key, budget.scope, {}, {})
        limits, warn_at = dict(before.limits), dict(before.warn_at)
        for code, limit in budget.limits.items():
            if code not in limits or limit < limits[code]:
                limits[code], warn_at[code] = limit, budget.warn_at
        found[key] = Account(key, budget.scope, limits, warn_at)
    return [found[key] for key in sorted(found)]


def _key(scope: Scope, subject: Subject, now: datetime) -> str:
    # Tenant and user may hold anything, the separator too: they are told apart by their length.
    tenant, user = f"{len(subject.tenant)}:{subject.tenant}", f"{len(subject.user_id)}:{subject.user_id}"
    holder = {
        # A run that nobody gave a request id is its own request.
        Scope.REQUEST: f"{tenant}|{subject.request_id or subject.run_id}",
        Scope.RUN: subject.run_id,
        Scope.USER_DAY: f"{tenant}|{user}|{now:%Y-%m-%d}",
        Scope.USER_MONTH: f"{tenant}|{user}|{now:%Y-%m}",
        Scope.TENANT_DAY: f"{tenant}|{now:%Y-%m-%d}",
        Scope.SYSTEM_DAY: f"{now:%Y-%m-%d}",
    }[scope]
    return f"{scope.value}|{holder}"
