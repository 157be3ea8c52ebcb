"""What a run may still spend: reserved before a call, settled after it, refused where a limit would be passed.

All amounts are whole numbers: steps, calls, tokens, milliseconds (``max_seconds``) and nano-dollars (``max_usd``). A
limit is named by the stop code a run ends with when it is reached.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spanhouse.errors import RunStopped
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.money import NANO_PER_USD, nano_usd

BUDGET_CODES: Final = (
    StopCode.MAX_STEPS,
    StopCode.MAX_TOOL_CALLS,
    StopCode.MAX_SECONDS,
    StopCode.MAX_USD,
    StopCode.MAX_TOKENS,
)
_UNITS: Final = {StopCode.MAX_SECONDS: 1_000, StopCode.MAX_USD: NANO_PER_USD}
_UNIT_NAMES: Final = {
    StopCode.MAX_STEPS: "steps",
    StopCode.MAX_TOOL_CALLS: "tool calls",
    StopCode.MAX_SECONDS: "s",
    StopCode.MAX_USD: "USD",
    StopCode.MAX_TOKENS: "tokens",
}

Amounts = Mapping[StopCode, int]


def shown(code: StopCode, amount: int) -> int | float:
    """Return a ledger amount in the unit people set the limit in: seconds, dollars or a plain count."""
    return amount / _UNITS[code] if code in _UNITS else amount


class BudgetRefused(RunStopped):
    """A call was refused, because with it a limit would be passed.

    Attributes:
        limit, used, reserved, asked: amounts in the ledger's whole units.

    Args:
        scope: whose limit it is where that is not the run's own, such as ``tenant/day``; the stop reason's subject.
    """

    def __init__(self, code: StopCode, *, limit: int, used: int, reserved: int, asked: int, scope: str = "") -> None:
        unit = _UNIT_NAMES[code]
        detail = f"limit {shown(code, limit):g} {unit}, {shown(code, used):g} used"
        if reserved:
            detail += f", {shown(code, reserved):g} reserved"
        if asked:
            detail += f", the next call may need {shown(code, asked):g}"
        super().__init__(StopReason(code, scope), detail)
        self.limit = limit
        self.used = used
        self.reserved = reserved
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Reservation:
    """Amounts held back for one call until it is settled or released."""

    number: int
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Near:
    """A limit whose use has reached the warning share; ``scope`` says whose limit it is."""

    code: StopCode
    limit: int
    used: int
    scope: str = "run"


class BudgetLedger:
    """The spending of one run against its limits; safe to use from several threads.

    While calls settle for no more than they reserved, used + reserved never passes a limit. A call that turns out
    dearer than its reservation is booked as it was, and everything after it is refused.
    """

    def __init__(self, limits: Amounts, *, warn_at: float = 0.8) -> None:
        self._limits = {code: limits[code] for code in BUDGET_CODES if code in limits}
        self._warn_at = warn_at
        self._used = dict.fromkeys(BUDGET_CODES, 0)
        self._reserved = dict.fromkeys(BUDGET_CODES, 0)
        self._open: dict[int, Reservation] = {}
        self._next = 1
        self._warned: set[StopCode] = set()
        self._lock = threading.Lock()

    def reserve(self, amounts: Amounts) -> Reservation:
        """Hold back all the amounts, or none of them.

        Raises:
            BudgetRefused: with them a limit would be passed, or one is passed already.
        """
        self._check_amounts(amounts)
        with self._lock:
            for code, limit in self._limits.items():
                asked = amounts.get(code, 0)
                used, reserved = self._used[code], self._reserved[code]
                if used + reserved + asked > limit:
                    raise BudgetRefused(code, limit=limit, used=used, reserved=reserved, asked=asked)
            reservation = Reservation(self._next, dict(amounts))
            self._next += 1
            self._open[reservation.number] = reservation
            for code, amount in amounts.items():
                self._reserved[code] += amount
            return reservation

    def settle(self, reservation: Reservation, actual: Amounts | None = None) -> None:
        """Book what the call really took (what was reserved where not said) and give the rest back.

        Raises:
            ValueError: the reservation is settled or released already.
        """
        actual = reservation.amounts if actual is None else actual
        self._check_amounts(actual)
        with self._lock:
            self._close(reservation)
            for code, amount in actual.items():
                self._used[code] += amount

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back unused.

        Raises:
            ValueError: the reservation is settled or released already.
        """
        with self._lock:
            self._close(reservation)

    def elapsed(self, milliseconds: int) -> None:
        """Note how long the run has been going; time only grows, an earlier reading is ignored."""
        with self._lock:
            self._used[StopCode.MAX_SECONDS] = max(self._used[StopCode.MAX_SECONDS], milliseconds)

    def check(self) -> None:
        """Return if the run may go on.

        Raises:
            BudgetRefused: its time is up, or a limit has been passed.
        """
        with self._lock:
            for code, limit in self._limits.items():
                used = self._used[code]
                if used > limit or (code is StopCode.MAX_SECONDS and used == limit):
                    raise BudgetRefused(code, limit=limit, used=used, reserved=0, asked=0)

    def newly_near(self) -> list[Near]:
        """Return the limits that have come to the warning share since the last call: each limit once in a run."""
        with self._lock:
            near = [
                Near(code, limit, self._used[code])
                for code, limit in self._limits.items()
                if code not in self._warned and self._used[code] >= limit * self._warn_at
            ]
            self._warned.update(item.code for item in near)
            return near

    def limit(self, limits: Amounts) -> None:
        """Put other limits in the place of those there are. One that grew is warned of again when it comes near."""
        with self._lock:
            grown = {code for code, before in self._limits.items() if before < limits.get(code, before + 1)}
            self._limits = {code: limits[code] for code in BUDGET_CODES if code in limits}
            self._warned -= grown

    def has_limit(self, code: StopCode) -> bool:
        """Return whether the run has this limit."""
        return code in self._limits

    def used(self, code: StopCode) -> int:
        """Return what is booked under a limit's name, whether it is limited or not."""
        with self._lock:
            return self._used[code]

    def reserved(self, code: StopCode) -> int:
        """Return what is held back for calls under way."""
        with self._lock:
            return self._reserved[code]

    def report(self) -> dict[str, dict[str, int | float]]:
        """Return limit and use of every limit that is set: ``{"max_usd": {"limit": 1.0, "used": 0.25}}``."""
        with self._lock:
            return {
                code.value: {"limit": shown(code, limit), "used": shown(code, self._used[code])}
                for code, limit in self._limits.items()
            }

    def _close(self, reservation: Reservation) -> None:
        if self._open.pop(reservation.number, None) is None:
            msg = f"reservation {reservation.number} is settled or released already: each may be closed once"
            raise ValueError(msg)
        for code, amount in reservation.amounts.items():
            self._reserved[code] -= amount

    @staticmethod
    def _check_amounts(amounts: Amounts) -> None:
        for code, amount in amounts.items():
            if code not in BUDGET_CODES or amount < 0:
                msg = f"cannot book {amount!r} under {code}: amounts are 0 or more, under {', '.join(BUDGET_CODES)}"
                raise ValueError(msg)


def ledger_for(limits: Limits) -> BudgetLedger:
    """Return a fresh ledger with the limits of a run."""
    return BudgetLedger(amounts_of(limits), warn_at=limits.warn_at)


def amounts_of(limits: Limits) -> Amounts:
    """Return the limits that are set, in the ledger's whole units."""
    amounts = {
        StopCode.MAX_STEPS: limits.max_steps,
        StopCode.MAX_TOOL_CALLS: limits.max_tool_calls,
        StopCode.MAX_SECONDS: round(limits.max_seconds * _UNITS[StopCode.MAX_SECONDS]),
    }
    if limits.max_usd is not None:
        amounts[StopCode.MAX_USD] = nano_usd(limits.max_usd)
    if limits.max_tokens is not None:
        amounts[StopCode.MAX_TOKENS] = limits.max_tokens
    return amounts
