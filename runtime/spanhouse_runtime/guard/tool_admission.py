"""What a tool call passes before it is made, in an order that holds nothing while a person thinks.

Kill switch, disabled → policy → loop → approval → again kill, disabled and policy → turn (rate, calls at once) →
breaker → budget. Arguments have been checked against the tool's schema before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanhouse.errors import ErrorType
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.budget import Amounts
from spanhouse_runtime.guard.asking import approved
from spanhouse_runtime.guard.books import Held
from spanhouse_runtime.guard.breaker import Breaker
from spanhouse_runtime.guard.calls import ToolAsk
from spanhouse_runtime.guard.caring import put_on_review
from spanhouse_runtime.guard.costs import cost_of
from spanhouse_runtime.guard.flow import Blocking, Flow, Wait
from spanhouse_runtime.guard.health import closed_breaker, tell
from spanhouse_runtime.guard.judging import because, judge, record_denied, refusal
from spanhouse_runtime.guard.looping import mind
from spanhouse_runtime.policy import Decision, Verdict
from spanhouse_runtime.state import RunState
from spanhouse_runtime.traits import Care
from spanhouse_runtime.worker import POLL_SECONDS

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun


@dataclass(slots=True)
class ToolPermit:
    """The right to make one tool call, with all it holds; ``worked``, ``failed`` or ``dropped`` gives that back, once.

    Where the run shares budgets (``guarded.books.blocking``) giving back may block: not on an event loop.

    Attributes:
        guarded: the run.
        ask: the call to make; its arguments may be those a person changed.
        verdict: the policy's decision and rule.
        held: what of the budgets is held back.
        breaker: the tool's.
        cost: what the call costs in nano-dollars; None where that is not known.
        open: whether it has not been given back.
        review_id: the entry of the review list that the call made, once it has worked.
    """

    guarded: GuardedRun
    ask: ToolAsk
    verdict: Verdict
    held: Held
    breaker: Breaker
    cost: int | None = 0
    open: bool = True
    review_id: str = ""

    def worked(self, result: str = "") -> None:
        """Note that the call gave a result, by its text.

        Raises:
            RunStopped: the run goes in circles, and its model had been warned.
        """
        self._close()
        guarded, ask, digest = self.guarded, self.ask, self.ask.digest
        guarded.failures.worked(ask.tool)
        guarded.people.worked()
        tell(guarded, ask.tool, self.breaker.worked())
        traits = guarded.guard.traits.of(ask.tool, ask.action)
        if traits.care is Care.REVIEW:
            self.review_id = put_on_review(guarded, ask, traits)
        mind(guarded, guarded.loops.answered(ask.tool, digest, result, polling=ask.polling), ask.tool, digest)

    def spared(self, result: str = "") -> None:
        """Note that the call was answered without being made: from a cache, or from the record of an earlier call.

        It counts as a call, costs nothing, and says nothing of the tool's health.

        Raises:
            RunStopped: the run goes in circles, and its model had been warned.
        """
        self._close({StopCode.MAX_TOOL_CALLS: 1})
        self.breaker.dropped()
        guarded, ask, digest = self.guarded, self.ask, self.ask.digest
        mind(guarded, guarded.loops.answered(ask.tool, digest, result, polling=ask.polling), ask.tool, digest)

    def failed(self, kind: ErrorType, message: str, *, made: bool = True) -> None:
        """Note that the call failed; one that was never made says nothing of the tool's health, and costs nothing.

        Raises:
            RunStopped: the tool has failed so often in a row with this error that it is exhausted, or the run goes in
                circles, and its model had been warned.
        """
        self._close(None if made else {StopCode.MAX_TOOL_CALLS: 1})
        guarded, ask, digest = self.guarded, self.ask, self.ask.digest
        if made:
            tell(guarded, ask.tool, self.breaker.failed())
        else:
            self.breaker.dropped()
        guarded.failed(ask.tool, kind, message)
        mind(guarded, guarded.loops.failed(ask.tool, digest, kind.value, message), ask.tool, digest)

    def dropped(self) -> None:
        """Give everything back for a call that ended with neither: it was interrupted. Again does nothing."""
        if self.open:
            self._close()
            self.breaker.dropped()

    def attempted(self) -> None:
        """Give an attempt back that failed and is to be made again: only the breaker and the budgets hear of it."""
        self._close()
        tell(self.guarded, self.ask.tool, self.breaker.failed())

    def _close(self, taken: Amounts | None = None) -> None:
        if not self.open:
            msg = f"the permit for {self.ask.tool} has been given back before: each is for one call"
            raise RuntimeError(msg)
        self.open = False
        self.guarded.guard.rates.leave(self.ask.tool, self.guarded.tenant)
        # The call was let through, so it counts, however it went.
        self.guarded.books.settle(self.held, taken)


def tool_flow(guarded: GuardedRun, ask: ToolAsk) -> Flow[ToolPermit]:
    """Decide on a tool call; see the module for the order.

    Raises:
        CallRefused: the policy tells the model instead of ending the run.
        RunStopped: the run is over.
    """
    yield from obey(guarded, ask.tool)
    ask = guarded.steering.next_call(guarded, ask)
    policy = guarded.policy()
    verdict = judge(guarded, policy, ask)
    # A call that is refused again and again is a loop too.
    digest = ask.digest
    loop = guarded.loops.asked(ask.tool, digest, polling=ask.polling)
    if verdict.decision is Decision.DENY:
        record_denied(guarded, ask, verdict)
        mind(guarded, loop, ask.tool, digest)
        raise refusal(guarded, policy, ask, StopCode.POLICY_DENY, because(verdict))
    mind(guarded, loop, ask.tool, digest)
    if verdict.decision is Decision.ASK:
        ask, verdict = yield from approved(guarded, policy, ask, verdict)
        yield from obey(guarded, ask.tool)
    cost = cost_of(guarded, ask)
    held, breaker = yield from _taken(guarded, ask.tool, cost)
    guarded.machine.to(RunState.EXECUTING)
    guarded.drift.did(ask.tool, ask.arguments)
    return ToolPermit(guarded, ask, verdict, held, breaker, cost)


def again_flow(permit: ToolPermit, seconds: float) -> Flow[None]:
    """Wait and take anew what one more attempt of a call needs; ``attempted`` has given the last one back.

    It is judged by no policy and counts for no loop: the model has asked once. All else holds for it as for any call.

    Raises:
        RunStopped: the run is over.
    """
    guarded, tool = permit.guarded, permit.ask.tool
    until = guarded.guard.clock() + seconds
    yield from obey(guarded, tool)
    while (left := until - guarded.guard.clock()) > 0:
        yield Wait(min(left, POLL_SECONDS))
        yield from obey(guarded, tool)
    permit.held, permit.breaker = yield from _taken(guarded, tool, permit.cost)
    permit.open = True
    guarded.machine.to(RunState.EXECUTING)


def _taken(guarded: GuardedRun, tool: str, cost: int | None) -> Flow[tuple[Held, Breaker]]:
    """Return what one attempt holds: its turn, its breaker's word, its share of the budgets."""
    yield from _turn(guarded, tool)
    try:
        breaker = closed_breaker(guarded, tool)
        try:
            amounts = {StopCode.MAX_TOOL_CALLS: 1, **({StopCode.MAX_USD: cost} if cost else {})}
            held = yield from reserved(guarded, amounts)
        except BaseException:
            breaker.dropped()
            raise
    except BaseException:
        guarded.guard.rates.leave(tool, guarded.tenant)
        raise
    return held, breaker


def obey(guarded: GuardedRun, tool: str = "") -> Flow[None]:
    """Return when no operator's flag holds the call up.

    Raises:
        RunStopped: a flag ends the run, a limit is reached, or it has been stopped before.
    """
    yield from _first_news(guarded)
    flag = guarded.look(tool)
    while flag is not None and flag.action == "pause":
        guarded.machine.to(RunState.WAITING, f"paused by {flag.by or 'an operator'}: {flag.reason}")
        yield Wait(POLL_SECONDS)
        flag = guarded.look(tool)


def _first_news(guarded: GuardedRun) -> Flow[None]:
    """Wait a little where flags are required and never were heard: an agent may call before its poller has asked."""
    control = guarded.guard.control
    if control is None or not control.unheard():
        return
    left = control.first_seconds
    while left > 0 and control.unheard():
        yield Wait(min(left, POLL_SECONDS))
        left -= POLL_SECONDS


def reserved(guarded: GuardedRun, amounts: dict[StopCode, int]) -> Flow[Held]:
    """Return what is held back for a call, off the event loop where the budgets are shared.

    Raises:
        BudgetRefused: a limit would be passed.
    """
    if not guarded.books.blocking:
        return guarded.books.reserve(amounts)
    held: Held = yield Blocking(lambda: guarded.books.reserve(amounts))
    return held


def _turn(guarded: GuardedRun, tool: str) -> Flow[None]:
    rates = guarded.guard.rates
    rate = rates.of(tool)
    if rate is None:
        return
    deadline = guarded.guard.clock() + rate.queue_seconds
    while (wait := rates.enter(tool, guarded.tenant)) > 0:
        left = deadline - guarded.guard.clock()
        if wait > left:
            guarded.run.event("budget.stop", budget="rate", scope=f"tool:{tool}", amount=1, limit=rate.limit)
            reason = StopReason(StopCode.RATE_LIMITED, tool)
            raise guarded.stop(reason, f"no turn within {rate.queue_seconds:g} s at {rate}")
        yield Wait(min(wait, POLL_SECONDS))
        yield from obey(guarded, tool)
