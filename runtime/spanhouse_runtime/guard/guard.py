"""The guard: what all runs of an agent have in common, and the one way to start a guarded run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from spanhouse.content import as_text
from spanhouse.errors import ConfigurationError
from spanhouse.runs import Run
from spanhouse.runs import run as new_run
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard.approval import Approver
from spanhouse_runtime.guard.books import SharedBudgets
from spanhouse_runtime.guard.breaker import Breakers
from spanhouse_runtime.guard.costs import Cost
from spanhouse_runtime.guard.decorating import guarded
from spanhouse_runtime.guard.rates import Rate, Rates
from spanhouse_runtime.guard.run import GuardedRun
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.loops import LoopSettings
from spanhouse_runtime.loops.goal import GoalCheck
from spanhouse_runtime.money import Price, Priced, Prices
from spanhouse_runtime.people.escalation import BY_HAND, EscalationRules
from spanhouse_runtime.policy import CallPolicy
from spanhouse_runtime.traits import ToolTraits, TraitsByTool

F = TypeVar("F", bound=Callable[..., Any])

APPROVAL_SECONDS = 900.0


class Guard:
    """Lets an agent's model and tool calls through, one by one, or not.

    Make one for an agent and keep it: breakers, paces and prices hold over its runs. Runs are started with ``run`` and
    ask with ``admit_tool`` and ``admit_model``, or through what wraps them: ``spanhouse_runtime.Agent``, the
    decorators, the adapters.

    Args:
        name: the agent's name, by which operators find it.
        limits: when a run stops at the latest.
        policy: which calls are let through, or a function that returns the policy in force now.
        traits: what tools declare of themselves, by glob over their names: deleting and money are always asked about,
            sending where no policy rule allows it, an update goes on the review list.
        prices: what models cost: one price for all, by model name, or a list (``Prices.from_genai()``); needed where
            dollars are limited.
        control: where an operator's flags come from.
        approver: carries questions to people; without one, what a policy wants asked is refused.
        approval_seconds: how long a person has; after that the call is refused.
        escalation: when runs are handed to a person; without it, where the agent says so or is not sure enough.
        budgets: budgets that runs and processes share.
        loops: how soon a run counts as going in circles.
        goal: looks now and then whether a run still serves its task.
        rates: paces by glob over tool names, or a ``Rates`` shared with other guards.
        breakers: shared with other guards; without it, the guard's own.
        clock: seconds that only grow.

    Raises:
        ConfigurationError: the name is empty.
    """

    def __init__(
        self,
        name: str,
        *,
        policy: CallPolicy | Callable[[], CallPolicy],
        traits: Mapping[str, ToolTraits] | None = None,
        limits: Limits | None = None,
        prices: Price | Mapping[str, Price] | Prices | None = None,
        control: Control | None = None,
        approver: Approver | None = None,
        approval_seconds: float = APPROVAL_SECONDS,
        escalation: EscalationRules | None = None,
        budgets: SharedBudgets | None = None,
        loops: LoopSettings | None = None,
        goal: GoalCheck | None = None,
        rates: Rates | Mapping[str, Rate] | None = None,
        breakers: Breakers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not name:
            msg = "a guard needs the agent's name: operators stop and disable agents by it"
            raise ConfigurationError(msg)
        self.name = name
        self.traits = TraitsByTool(traits)
        self.limits = limits or Limits()
        self.control = control
        self.approver = approver
        self.approval_seconds = approval_seconds
        self.escalation = escalation or BY_HAND
        self.budgets = budgets
        self.loops = loops or LoopSettings()
        self.goal = goal
        self.rates = rates if isinstance(rates, Rates) else Rates(rates, clock)
        self.breakers = breakers or Breakers(clock=clock)
        self.clock = clock
        self._policy = policy
        self._prices = Prices(prices) if isinstance(prices, Mapping) else prices

    def policy(self) -> CallPolicy:
        """Return the policy in force now."""
        return self._policy() if callable(self._policy) else self._policy

    def price_of(self, model: str, provider: str = "") -> Priced | None:
        """Return what a model costs; None where that is not known."""
        return self._prices.of(model, provider) if isinstance(self._prices, Prices) else self._prices

    def price_version_of(self, model: str) -> str:
        """Return the version of the list a model's price is from; empty where it is from none."""
        return self._prices.version_of(model) if isinstance(self._prices, Prices) else ""

    def run(
        self,
        name: str = "",
        *,
        roles: Iterable[str] = (),
        **identity: Any,  # noqa: ANN401 - as spanhouse.run takes them
    ) -> GuardedRun:
        """Return a guarded run to enter with ``with``.

        Args:
            name: what the run does; the agent's name where not given.
            roles: of the caller it serves, for the policy; from who was authenticated, never from a model.
            identity: ``request_id``, ``tenant``, ``user_id`` and so on, as ``spanhouse.run`` takes them.
        """
        run = new_run(name or self.name, **{"agent": self.name, **identity})
        return GuardedRun(self, run, task=as_text(identity.get("input") or ""), roles=roles)

    @overload
    def tool(self, function: F, /) -> F: ...

    @overload
    def tool(
        self, /, *, name: str = "", polling: bool = False, action: str = "", cost_usd: Cost = 0.0
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str = "",
        polling: bool = False,
        action: str = "",
        cost_usd: Cost = 0.0,
    ) -> Any:
        """Guard every call of a function: ``@guard.tool`` or ``@guard.tool(name=..., action=..., cost_usd=...)``.

        The call is judged by the guarded run it is made in; outside of one it is refused.
        """
        if function is None:
            return lambda bare: guarded(bare, name=name, polling=polling, action=action, cost_usd=cost_usd)
        return guarded(function, name=name, polling=polling, action=action, cost_usd=cost_usd)

    def attach(self, run: Run, *, task: str = "", roles: Iterable[str] = ()) -> GuardedRun:
        """Return the guard of a run that somebody else has opened and will close; ``task`` is what it was asked."""
        return GuardedRun(self, run, owns=False, task=task, roles=roles)
