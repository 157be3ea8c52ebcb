"""What a model call passes before it is made: kill switch, disabled, turn, budget; and what it gives back after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanhouse.errors import RunStopped
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.guard.books import Held
from spanhouse_runtime.guard.calls import ModelAsk
from spanhouse_runtime.guard.flow import Flow
from spanhouse_runtime.guard.tool_admission import obey, reserved
from spanhouse_runtime.model import Usage
from spanhouse_runtime.money import nano_usd
from spanhouse_runtime.state import RunState

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun


@dataclass(slots=True)
class ModelPermit:
    """The right to make one model call; ``answered``, ``failed`` or ``dropped`` gives back what it holds, once.

    Attributes:
        guarded: the run.
        ask: the call to make.
        held: what of the budgets is held back.
        open: whether it has not been given back.
    """

    guarded: GuardedRun
    ask: ModelAsk
    held: Held
    open: bool = True

    def answered(self, usage: Usage | None = None, cost_usd: float | None = None) -> int | None:
        """Book what the call took and return its nano-dollars, None where neither provider nor price list says.

        Args:
            usage: its tokens; None where the provider did not say. Then what was reserved is booked: the most it can
                have been.
            cost_usd: what the provider says it cost.
        """
        amounts = self.held.own.amounts
        cost = self._cost(usage, cost_usd)
        taken = {StopCode.MAX_STEPS: amounts.get(StopCode.MAX_STEPS, 0)}
        taken[StopCode.MAX_TOKENS] = amounts[StopCode.MAX_TOKENS] if usage is None else usage.total
        taken[StopCode.MAX_USD] = amounts.get(StopCode.MAX_USD, 0) if cost is None else cost
        self._close(taken)
        return cost

    def cost_of(self, usage: Usage) -> int | None:
        """Return what the price list says a call with these tokens costs; None where it does not say."""
        return self._cost(usage, None)

    def failed(self) -> None:
        """Book a call that failed: it was a step, and took nothing else."""
        self._close({StopCode.MAX_STEPS: self.held.own.amounts.get(StopCode.MAX_STEPS, 0)})

    def dropped(self) -> None:
        """Book a call nobody waited for at what it may have taken: the provider may well charge for it. Idempotent."""
        if self.open:
            self._close(dict(self.held.own.amounts))

    def _cost(self, usage: Usage | None, cost_usd: float | None) -> int | None:
        if cost_usd is not None:
            return nano_usd(cost_usd)
        price = self.guarded.guard.price_of(self.ask.model, self.ask.provider)
        if price is None or usage is None:
            return None
        return price.cost(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)

    def _close(self, taken: dict[StopCode, int]) -> None:
        if not self.open:
            msg = f"the permit for a call of {self.ask.model} has been given back before: each is for one call"
            raise RuntimeError(msg)
        self.open = False
        self.guarded.books.settle(self.held, taken)


def model_flow(guarded: GuardedRun, ask: ModelAsk) -> Flow[ModelPermit]:
    """Decide on a model call.

    Raises:
        RunStopped: the run is over.
    """
    yield from obey(guarded)
    yield from guarded.drift.look(guarded)
    held = yield from reserved(guarded, _most(guarded, ask))
    guarded.machine.to(RunState.THINKING)
    return ModelPermit(guarded, ask, held)


def _most(guarded: GuardedRun, ask: ModelAsk) -> dict[StopCode, int]:
    amounts = {StopCode.MAX_STEPS: 1, StopCode.MAX_TOKENS: ask.input_tokens + ask.max_output_tokens}
    price = guarded.guard.price_of(ask.model, ask.provider)
    if price is not None:
        amounts[StopCode.MAX_USD] = price.cost(ask.input_tokens, ask.max_output_tokens)
    elif guarded.books.limits_money:
        limit = guarded.limits.max_usd
        guarded.run.event("budget.stop", budget="max_usd", scope="unknown_price", amount=0, limit=limit, used=0)
        detail = f"max_usd is {limit}, but the price of {ask.model} is not known: give the agent a price"
        raise RunStopped(StopReason(StopCode.MAX_USD, "unknown_price"), detail)
    return amounts
