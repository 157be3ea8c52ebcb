"""An agent: a model, its tools, and the limits it works within; run it on a task and get one stop reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from glob import escape
from typing import Literal

from spanhouse.errors import RunStopped
from spanhouse.stop_reasons import Outcome, StopCode, StopReason
from spanhouse_runtime.control import Control
from spanhouse_runtime.credentials import Secrets
from spanhouse_runtime.easing import OnNearLimit
from spanhouse_runtime.guard import Approver, Breakers, Guard, Rate, Rates, SharedBudgets
from spanhouse_runtime.idempotency import IdempotencyStore, MemoryIdempotencyStore
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.loops import LoopSettings
from spanhouse_runtime.loops.goal import GoalCheck
from spanhouse_runtime.model import Message, Model
from spanhouse_runtime.model_step import ask_model, check_last_answer
from spanhouse_runtime.money import Price, Prices, usd
from spanhouse_runtime.people.escalation import EscalationRules
from spanhouse_runtime.policy import CallPolicy, Policy
from spanhouse_runtime.repeated_errors import forget_equal_errors
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.reviews import Review, ReviewList
from spanhouse_runtime.session import Session, Setup
from spanhouse_runtime.stopped_answer import Answer, Stopped, plain_answer
from spanhouse_runtime.tool_cache import ToolCache
from spanhouse_runtime.tool_result import AfterTool
from spanhouse_runtime.tool_rules import check_agent, own_breakers
from spanhouse_runtime.tool_step import answer_call
from spanhouse_runtime.tools import Function, Tool, Toolbox
from spanhouse_runtime.undoing import keep, undo

_log = logging.getLogger(__name__)

HANDOVER_TOOLS = ("transfer_to_human*", "escalate_to_human*")


class Agent:
    """Runs tasks: asks the model, makes the calls it asks for, and stops for exactly one reason.

    Args:
        name: the agent's name.
        model: what it thinks with.
        tools: functions, or tools made with ``spanhouse_runtime.tools.tool``.
        limits: when a run stops at the latest.
        policy: which calls are let through. Without one, the tools given are the allowlist; with one, it decides alone.
        instructions: the system message.
        version: the agent's version.
        price: what the model costs; needed where ``max_usd`` is set.
        control: where an operator's flags come from.
        approver: carries questions to people; without one, a call the policy wants asked is refused.
        escalation: when runs are handed to a person; without it, where a tool or the agent says so.
        budgets: budgets that runs and processes share.
        loops: how soon a run counts as going in circles.
        goal: looks now and then whether a run still serves its task.
        rates: paces by glob over tool names.
        breakers: shared with other agents; without it, the agent's own.
        idempotency: where calls of ``once`` tools are remembered; without it, in memory for the life of the agent.
        secrets: where the credentials come from that tools' functions are given.
        after_tool: looks at every result before the model does, and may change or withhold it.
        handover: globs of the tools that hand the run to a person; a successful call ends it with ``escalated``.
        on_timeout: whether a tool that does not answer in time ends the run, or is told to the model as an error.
        on_near_limit: told once of each limit that has come to its warning share; may answer with an ``Ease``: a
            cheaper model, shorter answers, other instructions, from the next model call on.
        last_answer: makes the answer of a run that stopped: what is done and saved, what is not, what is unavailable.
        clock: seconds that only grow; for ``max_seconds``.

    Raises:
        ConfigurationError: a tool cannot be offered to a model.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        tools: Iterable[Tool | Function] = (),
        *,
        limits: Limits | None = None,
        policy: CallPolicy | Callable[[], CallPolicy] | None = None,
        instructions: str = "",
        version: str | None = None,
        price: Price | Mapping[str, Price] | Prices | None = None,
        control: Control | None = None,
        approver: Approver | None = None,
        escalation: EscalationRules | None = None,
        budgets: SharedBudgets | None = None,
        loops: LoopSettings | None = None,
        goal: GoalCheck | None = None,
        rates: Rates | Mapping[str, Rate] | None = None,
        breakers: Breakers | None = None,
        idempotency: IdempotencyStore | None = None,
        secrets: Secrets | None = None,
        after_tool: AfterTool | None = None,
        handover: Iterable[str] = HANDOVER_TOOLS,
        on_timeout: Literal["stop", "tell_model"] = "stop",
        on_near_limit: OnNearLimit | None = None,
        last_answer: Answer = plain_answer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        toolbox = Toolbox(tools)
        check_agent(toolbox.tools, shared_breakers=breakers is not None, secrets=secrets is not None)
        self.version = version
        self.guard = Guard(
            name,
            limits=limits,
            policy=Policy(allow=tuple(toolbox.names)) if policy is None else policy,
            traits={escape(made.name): made.traits for made in toolbox.tools},
            prices=price,
            control=control,
            approver=approver,
            escalation=escalation,
            budgets=budgets,
            loops=loops,
            goal=goal,
            rates=rates,
            breakers=breakers or Breakers(clock=clock, by_tool=own_breakers(toolbox.tools)),
            clock=clock,
        )
        self.setup = Setup(
            guard=self.guard,
            model=model,
            toolbox=toolbox,
            instructions=instructions,
            idempotency=MemoryIdempotencyStore() if idempotency is None else idempotency,
            handover=tuple(handover),
            on_timeout=on_timeout,
            on_near_limit=on_near_limit,
            last_answer=last_answer,
            secrets=secrets,
            after_tool=after_tool,
            cache=ToolCache(clock=clock),
            reviews=ReviewList(clock),
        )

    @property
    def reviews(self) -> list[Review]:
        """The updates of this process that may still be taken back, the newest last."""
        return self.setup.reviews.open()

    def undo(self, call: str, *, by: str, reason: str = "") -> str:
        """Take an update back with its tool's ``undo``, and return what that returned, as text.

        The undoing is a recorded run of its own, in the tenant and under the request id of the first one.

        Args:
            call: the review's id, or the call's.
            by: who wants it taken back.
            reason: why.

        Raises:
            UndoRefused: it is not on the review list any more, or its tool cannot undo.
            Exception: what ``undo`` raised; the update stays on the list.
        """
        return undo(self.setup, call, by=by, reason=reason)

    def keep(self, call: str, *, by: str, reason: str = "") -> None:
        """Take an update off the review list as it is: somebody has looked at it. Recorded as ``undo`` is.

        Raises:
            UndoRefused: it is not on the review list any more.
        """
        keep(self.setup, call, by=by, reason=reason)

    def run(
        self,
        task: str,
        *,
        request_id: str | None = None,
        tenant: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        environment: str | None = None,
        roles: Iterable[str] = (),
        task_id: str | None = None,
        task_type: str | None = None,
        variant: str | None = None,
        check: Callable[[str], bool] | None = None,
        idempotency_scope: str = "",
    ) -> RunResult:
        """Run a task to its one stop reason and return what it came to.

        Args:
            task: what is asked, as the first message.
            request_id: what a person has in hand when something is wrong.
            tenant: whose data it is; from the entry point, never from a model.
            user_id: whom the run serves.
            session_id: the conversation it is part of.
            environment: deployment environment.
            roles: of the caller it serves, for the policy; from who was authenticated, never from a model.
            task_id: the task's own id or short name.
            task_type: the kind of task.
            variant: the variant of an experiment.
            check: told the last answer of a run that finished, says whether it is right: the run's outcome. Without it
                the outcome is unknown.
            idempotency_scope: what ``once`` calls are done once within, such as ``order:4711``; without it, this run.

        Raises:
            Exception: only what ``check`` or the runtime itself raises; failures of models and tools are stop reasons.
        """
        with self.guard.run(
            self.guard.name,
            agent_version=self.version,
            request_id=request_id,
            session_id=session_id,
            user_id=user_id,
            tenant=tenant,
            environment=environment,
            roles=roles,
            task=task_id,
            task_type=task_type,
            variant=variant,
            input=task,
        ) as guarded:
            run = guarded.run
            session = Session(self.setup, guarded, task=task, scope=idempotency_scope)
            output, reason = _drive(session)
            run.stop(reason)
            run.output(output)
            outcome = Outcome.UNKNOWN
            if check is not None and reason.code is StopCode.FINISH:
                outcome = Outcome.SUCCESS if check(output) else Outcome.FAILURE
                run.outcome(outcome)
        ledger = guarded.books.ledger
        return RunResult(
            run_id=run.run_id,
            trace_id=run.trace_id,
            request_id=run.request_id or "",
            stop_reason=reason,
            outcome=outcome,
            output=output,
            usage=session.usage,
            cost_usd=usd(ledger.used(StopCode.MAX_USD)) if session.cost_known else None,
            steps=session.step,
            tools=dict(session.tools),
            budget=ledger.report(),
        )


def _drive(session: Session) -> tuple[str, StopReason]:
    try:
        while (response := ask_model(session)).tool_calls:
            for call in response.tool_calls:
                answer = answer_call(session, call)
                forget_equal_errors(session.messages, answer)
                session.messages.append(Message("tool", answer, tool_call_id=call.id))
        check_last_answer(response)
    except RunStopped as raised:
        stop = session.guarded.remember(raised)
        return _last_answer(session, stop), stop.reason
    return response.text, StopReason(StopCode.FINISH)


def _last_answer(session: Session, stop: RunStopped) -> str:
    stopped = Stopped(
        stop.reason,
        stop.detail,
        session.step,
        {name: replace(tally) for name, tally in session.tools.items()},
        session.said,
        session.run.request_id or "",
    )
    try:
        return session.setup.last_answer(stopped)
    except Exception:  # noqa: BLE001 - the user's own words; the run has stopped for another reason and keeps it
        _log.exception("last_answer failed for %s; the plain one is given", stop.reason)
        return plain_answer(stopped)
