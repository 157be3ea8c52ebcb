"""The spending of one run, written down as it is reserved, settled and refused."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from spanhouse.runs import Run
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import Amounts, BudgetRefused, Near, Reservation, amounts_of, ledger_for, shown
from spanhouse_runtime.limits import Limits

T = TypeVar("T")

_log = logging.getLogger(__name__)

SPENDING: Final = (StopCode.MAX_USD, StopCode.MAX_TOKENS)


@dataclass(frozen=True, slots=True)
class Subject:
    """On whose account a call goes; empty where not known."""

    run_id: str
    request_id: str = ""
    tenant: str = ""
    user_id: str = ""
    agent: str = ""


class SharedBudgets(Protocol):
    """Budgets that several runs and processes draw on. Methods may block; what they raise refuses the call."""

    @property
    def limits_money(self) -> bool:
        """Whether one of them limits dollars."""

    @property
    def limits_time(self) -> bool:
        """Whether one of them limits seconds, so that the time runs take is booked."""

    def spend(self, subject: Subject, amounts: Amounts) -> list[Near]:
        """Book what was taken without being asked for, and return the budgets that have come near since."""

    def reserve(self, subject: Subject, amounts: Amounts) -> str:
        """Hold back the amounts in every budget the subject draws on, or in none; return the reservation's id.

        Raises:
            BudgetRefused: one of them would be passed; its reason names the scope.
        """

    def settle(self, reservation: str, actual: Amounts) -> list[Near]:
        """Book what was really taken, give the rest back, and return the budgets that have come near since."""

    def release(self, reservation: str) -> None:
        """Give a reservation back unused."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a call holds back: in the run's own ledger, and in the shared budgets where there are any."""

    own: Reservation
    shared: str = ""


class Books:
    """The run's ledger and the budgets it shares, with an audit event for every movement of money and tokens.

    Args:
        run: where events are written.
        limits: the run's own limits.
        subject: on whose account the run goes.
        shared: budgets it shares with others; None for none.
        on_near: told of every limit that has come near, once.
    """

    def __init__(
        self,
        run: Run,
        limits: Limits,
        subject: Subject,
        shared: SharedBudgets | None,
        on_near: Callable[[Near], None],
    ) -> None:
        self.ledger = ledger_for(limits)
        self._run, self._subject, self._shared, self._on_near = run, subject, shared, on_near
        self._booked_ms = 0
        self._lock = threading.Lock()

    @property
    def blocking(self) -> bool:
        """Whether reserving and settling may block."""
        return self._shared is not None

    @property
    def limits_money(self) -> bool:
        """Whether dollars are limited, so that a model without a price must be refused."""
        return self.ledger.has_limit(StopCode.MAX_USD) or (self._shared is not None and self._shared.limits_money)

    def check(self) -> None:
        """Return if the run may go on.

        Raises:
            BudgetRefused: its time is up, or a limit has been passed.
        """
        self._or_told(self.ledger.check)

    def limit(self, limits: Limits) -> None:
        """Keep to other limits from now on, and tell of those that are near at once."""
        self.ledger.limit(amounts_of(limits))
        for near in self.ledger.newly_near():
            self._warn(near)

    def reserve(self, amounts: Amounts) -> Held:
        """Hold back amounts for a call.

        Raises:
            BudgetRefused: with them a limit would be passed.
        """
        own = self._or_told(lambda: self.ledger.reserve(amounts))
        shared = ""
        if self._shared is not None:
            budgets = self._shared
            try:
                # Time that is used up must refuse a call that asks for none.
                asked = {**amounts, StopCode.MAX_SECONDS: 1} if budgets.limits_time else amounts
                shared = self._or_told(lambda: budgets.reserve(self._subject, asked))
            except BaseException:
                self.ledger.release(own)
                raise
        self._book("budget.reserve", own, amounts)
        return Held(own, shared)

    def settle(self, held: Held, actual: Amounts | None = None) -> None:
        """Book what a call took (what was reserved where not said), and tell of limits that have come near."""
        taken = held.own.amounts if actual is None else actual
        self.ledger.settle(held.own, taken)
        self._book("budget.settle", held.own, taken)
        near = self.ledger.newly_near()
        if self._shared is not None:
            near += self._shared.settle(held.shared, {**taken, **self._time(self._shared)})
        for limit in near:
            self._warn(limit)

    def close(self) -> None:
        """Book the time since the last call, for the budgets of seconds that the run shares; may block."""
        if self._shared is None or not (took := self._time(self._shared)):
            return
        try:
            near = self._shared.spend(self._subject, took)
        except Exception:  # noqa: BLE001 - the store's own; the run is over and must end with its own reason
            _log.exception("%d ms of run %s could not be booked", took[StopCode.MAX_SECONDS], self._subject.run_id)
            return
        for limit in near:
            self._warn(limit)

    def release(self, held: Held) -> None:
        """Give back what a call held that was not made."""
        self.ledger.release(held.own)
        if self._shared is not None:
            self._shared.release(held.shared)

    def _time(self, shared: SharedBudgets) -> dict[StopCode, int]:
        """Return the milliseconds that have passed and are booked nowhere but in the run's own ledger."""
        if not shared.limits_time:
            return {}
        with self._lock:
            passed = self.ledger.used(StopCode.MAX_SECONDS)
            new, self._booked_ms = passed - self._booked_ms, passed
        return {StopCode.MAX_SECONDS: new} if new else {}

    def _or_told(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except BudgetRefused as refused:
            code = refused.reason.code
            self._run.event(
                "budget.stop",
                budget=code.value,
                scope=refused.reason.subject or "run",
                amount=shown(code, refused.asked),
                limit=shown(code, refused.limit),
                used=shown(code, refused.used),
            )
            raise

    def _warn(self, near: Near) -> None:
        limit, used = shown(near.code, near.limit), shown(near.code, near.used)
        if near.code in SPENDING:
            said = {"budget": near.code.value, "scope": near.scope, "amount": used, "limit": limit, "used": used}
            self._run.event("budget.warn", **said)
        else:
            self._run.event("limit.near", name=near.code.value, limit=limit, used=used)
        self._on_near(near)

    def _book(self, event: str, reservation: Reservation, amounts: Amounts) -> None:
        for code in SPENDING:
            if code in amounts and self.ledger.has_limit(code):
                self._run.event(
                    event,
                    budget=code.value,
                    scope="run",
                    amount=shown(code, amounts[code]),
                    used=shown(code, self.ledger.used(code)),
                    reservation_id=str(reservation.number),
                )
