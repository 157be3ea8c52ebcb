"""One run while it goes: its books, its guards, and the checks that every call passes first."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from spanhouse.control import Flag
from spanhouse.errors import RunStopped
from spanhouse.runs import Run
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import Amounts, BudgetRefused, Reservation, ledger_for, shown
from spanhouse_runtime.control import STALE, Control, stop_reason_of
from spanhouse_runtime.failures import Failures
from spanhouse_runtime.idempotency import IdempotencyStore
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.loop_guard import LoopGuard
from spanhouse_runtime.model import Message, Model, Usage
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.result import Tally
from spanhouse_runtime.state import RunState, StateMachine
from spanhouse_runtime.tools import Toolbox
from spanhouse_runtime.worker import POLL_SECONDS

_SPENDING = (StopCode.MAX_USD, StopCode.MAX_TOKENS)


@dataclass(frozen=True, slots=True)
class Setup:
    """What every run of an agent has in common; see ``Agent`` for the meaning of each."""

    name: str
    model: Model
    toolbox: Toolbox
    limits: Limits
    policy: Policy
    instructions: str
    price: Price | None
    control: Control | None
    idempotency: IdempotencyStore
    handover: tuple[str, ...]
    on_timeout: Literal["stop", "tell_model"]
    clock: Callable[[], float]


class Session:
    """The changing part of one run.

    Attributes:
        setup: the agent's settings.
        run: the recorded run.
        scope: what idempotency keys are good for: the run's id, or a scope the caller named.
        messages: the conversation so far, without the instructions.
        usage, cost_known: what the model calls took, and whether the cost of each was known.
        last_input_tokens: how long the conversation was when a provider last counted it.
        step: the number of the current turn, from 1.
        said: the last text of the model.
    """

    def __init__(self, setup: Setup, run: Run, *, task: str, scope: str) -> None:
        self.setup = setup
        self.run = run
        self.scope = scope or run.run_id
        self.messages = [Message("user", task)]
        self.usage = Usage()
        self.cost_known = True
        self.last_input_tokens = 0
        self.step = 0
        self.said = ""
        self.ledger = ledger_for(setup.limits)
        self.loops = LoopGuard()
        self.failures = Failures()
        self.tools: defaultdict[str, Tally] = defaultdict(Tally)
        self.machine = StateMachine(self._state_changed)
        self._started = setup.clock()

    def remaining_seconds(self) -> float:
        """Return what is left of the run's time."""
        return max(0.0, self.setup.limits.max_seconds - (self.setup.clock() - self._started))

    def check(self, tool: str = "") -> None:
        """Return if the next call may be made; waits while the run is paused.

        Args:
            tool: the tool about to be called; empty for a model call.

        Raises:
            RunStopped: an operator stopped or disabled it, news is required and stale, or a limit is reached.
        """
        flag = self.look(tool)
        while flag is not None and flag.action == "pause":
            self.machine.to(RunState.WAITING, f"paused by {flag.by or 'an operator'}: {flag.reason}")
            time.sleep(POLL_SECONDS)
            flag = self.look(tool)

    def look(self, tool: str = "") -> Flag | None:
        """Return the flag that is meant for this call without obeying a pause; also called while a call is under way.

        Raises:
            RunStopped: as ``check``.
        """
        self.note_time()
        try:
            self.ledger.check()
        except BudgetRefused as refused:
            self._refused(refused)
            raise
        control = self.setup.control
        if control is None:
            return None
        if control.stale():
            detail = f"nothing heard from the control server for {control.view.age():.0f} s"
            self.run.event("disabled", scope="all", target="control", tool=tool or None, reason=detail)
            raise RunStopped(STALE, detail)
        flag = control.view.matching(
            run_id=self.run.run_id,
            agent=self.setup.name,
            tenant=self.run.tenant or "default",
            tools=(tool,) if tool else (),
            user=self.run.user_id or "",
        )
        if flag is not None and (reason := stop_reason_of(flag, tool=tool)) is not None:
            self._flagged(flag, tool)
            raise RunStopped(reason, f"by {flag.by or 'an operator'}: {flag.reason or 'no reason given'}")
        return flag

    def note_time(self) -> None:
        """Book the time the run has been going."""
        self.ledger.elapsed(round((self.setup.clock() - self._started) * 1_000))

    def reserve(self, amounts: Amounts) -> Reservation:
        """Hold back amounts for a call, and write down what was held back of money and tokens.

        Raises:
            BudgetRefused: with them a limit would be passed.
        """
        try:
            reservation = self.ledger.reserve(amounts)
        except BudgetRefused as refused:
            self._refused(refused)
            raise
        self._book("budget.reserve", reservation, amounts)
        return reservation

    def settle(self, reservation: Reservation, actual: Amounts | None = None) -> None:
        """Book what a call took, and warn once where a limit has come near."""
        self.ledger.settle(reservation, actual)
        self._book("budget.settle", reservation, reservation.amounts if actual is None else actual)
        for near in self.ledger.newly_near():
            limit, used = shown(near.code, near.limit), shown(near.code, near.used)
            if near.code in _SPENDING:
                self.run.event("budget.warn", budget=near.code.value, scope="run", amount=used, limit=limit, used=used)
            else:
                self.run.event("limit.near", name=near.code.value, limit=limit, used=used)

    def _book(self, event: str, reservation: Reservation, amounts: Amounts) -> None:
        for code in _SPENDING:
            if self.ledger.has_limit(code):
                self.run.event(
                    event,
                    budget=code.value,
                    scope="run",
                    amount=shown(code, amounts.get(code, 0)),
                    used=shown(code, self.ledger.used(code)),
                    reservation_id=str(reservation.number),
                )

    def _refused(self, refused: BudgetRefused) -> None:
        code = refused.reason.code
        self.run.event(
            "budget.stop",
            budget=code.value,
            scope="run",
            amount=shown(code, refused.asked),
            limit=shown(code, refused.limit),
            used=shown(code, refused.used),
        )

    def _flagged(self, flag: Flag, tool: str) -> None:
        who = {"by": flag.by or None, "reason": flag.reason or None, "flag_id": flag.id or None, "scope": flag.scope}
        if flag.action == "stop":
            self.run.event("kill", target=flag.target or None, **who)
        else:
            self.run.event("disabled", target=flag.target or flag.scope, tool=tool or None, **who)

    def _state_changed(self, before: RunState, after: RunState, legal: bool, reason: str) -> None:  # noqa: FBT001
        self.run.event("state", before=before.value, after=after.value, legal=legal, reason=reason or None)
