"""What is left of shared budgets: every account that was drawn on, with its use and what limits it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import shown
from spanhouse_runtime.budgets.rules import Budget, Scope, accounts
from spanhouse_runtime.guard.books import Subject


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose account a key names: ``tenant/day|4:acme|2026-11-20``.

    Attributes:
        scope: who shares it.
        tenant, user: empty where the scope has none.
        name: the request or run; empty for other scopes.
        window: the day or month of UTC, such as ``2026-11-20``; empty where it has none.
    """

    scope: Scope
    tenant: str = ""
    user: str = ""
    name: str = ""
    window: str = ""

    @classmethod
    def parse(cls, key: str) -> Holder:
        """Return the holder an account's key names."""
        word, _, rest = key.partition("|")
        scope = Scope(word)
        match scope:
            case Scope.RUN:
                return cls(scope, name=rest)
            case Scope.SYSTEM_DAY:
                return cls(scope, window=rest)
        tenant, rest = _counted(rest)
        if scope is Scope.REQUEST:
            return cls(scope, tenant, name=rest)
        if scope is Scope.TENANT_DAY:
            return cls(scope, tenant, window=rest)
        user, window = _counted(rest)
        return cls(scope, tenant, user, window=window)

    def current(self, now: datetime) -> bool:
        """Return whether its window is the one of now; accounts of requests and runs have none and are not."""
        return bool(self.window) and self.window in {f"{now:%Y-%m-%d}", f"{now:%Y-%m}"}


@dataclass(frozen=True, slots=True)
class Use:
    """One limit of one account, in whole units; ``limit`` is None where no budget in force sets one."""

    holder: Holder
    code: StopCode
    used: int
    reserved: int
    limit: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the API shows it: seconds, dollars and counts; null for what is not."""
        holder, limit = self.holder, None if self.limit is None else shown(self.code, self.limit)
        return {
            "scope": holder.scope.value,
            "tenant": holder.tenant or None,
            "user": holder.user or None,
            "holder": holder.name or None,
            "window": holder.window or None,
            "budget": self.code.value,
            "limit": limit,
            "used": shown(self.code, self.used),
            "reserved": shown(self.code, self.reserved),
            "share": round((self.used + self.reserved) / self.limit, 4) if self.limit else None,
        }


def uses(
    amounts: Mapping[tuple[str, str], tuple[int, int]], budgets: Sequence[Budget], now: datetime, *, every: bool
) -> list[Use]:
    """Return the use of accounts, the fullest first.

    Args:
        amounts: used and reserved by account's key and limit's name.
        budgets: what limits them.
        now: an aware time.
        every: accounts of requests and runs too, and of days that are over.
    """
    found: list[Use] = []
    for (key, name), (used, reserved) in amounts.items():
        holder = Holder.parse(key)
        code = StopCode(name)
        if every or holder.current(now):
            limit = _limit(budgets, holder, code, now)
            # What no budget limits is booked all the same, and is of interest to nobody.
            if limit is not None:
                found.append(Use(holder, code, used, reserved, limit))
    return sorted(found, key=_fullest_first)


def of_tenants(rows: Iterable[Use], tenants: frozenset[str] | None) -> list[Use]:
    """Return what somebody with these tenants may see, None for all: what all tenants share is not theirs."""
    return [row for row in rows if tenants is None or row.holder.tenant in tenants]


def _limit(budgets: Sequence[Budget], holder: Holder, code: StopCode, now: datetime) -> int | None:
    run = holder.name if holder.scope is Scope.RUN else ""
    subject = Subject(run, holder.name if holder.scope is Scope.REQUEST else "", holder.tenant, holder.user)
    drawn = accounts([budget for budget in budgets if budget.scope is holder.scope], subject, now)
    return next((account.limits[code] for account in drawn if code in account.limits), None)


def _fullest_first(use: Use) -> tuple[float, str, str, str, str]:
    share = (use.used + use.reserved) / use.limit if use.limit else 0.0
    holder = use.holder
    return (-share, holder.scope.value, holder.tenant, holder.user + holder.name, use.code.value)


def _counted(text: str) -> tuple[str, str]:
    length, _, rest = text.partition(":")
    return rest[: int(length)], rest[int(length) + 1 :]
