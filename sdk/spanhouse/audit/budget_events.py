"""What a run may spend: reservations, settlements, warnings and stops."""

from __future__ import annotations

from spanhouse.audit.base import AuditEvent


class _Budget(AuditEvent):
    budget: str
    scope: str | None = None
    amount: float
    limit: float | None = None
    used: float | None = None


class BudgetReserve(_Budget, event="budget.reserve"):
    """An amount was set aside before a call."""

    reservation_id: str | None = None


class BudgetSettle(_Budget, event="budget.settle"):
    """A reservation was replaced by what the call really took."""

    reservation_id: str | None = None


class BudgetWarn(_Budget, event="budget.warn"):
    """A budget passed its warning share."""


class BudgetStop(_Budget, event="budget.stop"):
    """A budget refused an amount, and the run or call stopped."""


class LimitNear(AuditEvent, event="limit.near"):
    """A run came near one of its own limits."""

    name: str
    limit: float
    used: float
