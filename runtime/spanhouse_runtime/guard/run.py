"""One guarded run: every model and tool call asks it first, and after the first stop nothing more is let through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from spanhouse import attributes as keys
from spanhouse.control import Flag, first_of
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.middleware import caller as request_caller
from spanhouse.runs import Run
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.budget import Near
from spanhouse_runtime.control import STALE, stop_reason_of
from spanhouse_runtime.failures import Failures
from spanhouse_runtime.guard.books import Books, Subject
from spanhouse_runtime.guard.calling import GuardedModelCall, GuardedToolCall
from spanhouse_runtime.guard.calls import ModelAsk, Notes, ToolAsk
from spanhouse_runtime.guard.current import CURRENT
from spanhouse_runtime.guard.drift import Drift
from spanhouse_runtime.guard.flow import Flow, drive, drive_async
from spanhouse_runtime.guard.looping import mind
from spanhouse_runtime.guard.model_admission import ModelPermit, model_flow
from spanhouse_runtime.guard.steering import Steering
from spanhouse_runtime.guard.tool_admission import ToolPermit, again_flow, tool_flow
from spanhouse_runtime.limits import Changes, Limits, LimitsInForce, bounded
from spanhouse_runtime.loops import LoopGuard
from spanhouse_runtime.people.escalation import People
from spanhouse_runtime.policy import Caller, CallPolicy
from spanhouse_runtime.state import RunState, StateMachine

if TYPE_CHECKING:
    from spanhouse_runtime.guard.guard import Guard

T = TypeVar("T")

_COMPLETED = frozenset({StopCode.FINISH, StopCode.ESCALATED})


class GuardedRun:
    """One run and what it may still do; made by ``Guard.run``, or around a run that is there by ``Guard.attach``.

    The first stop stands: a framework that swallows the exception meets it again at the next call, and the run keeps
    its one stop reason. Safe for the threads and tasks of the run.

    Attributes:
        guard: what it has in common with the agent's other runs.
        run: the recorded run.
        books: what it has spent and may spend.
        loops: the calls it has asked for.
        failures: the failures in a row of each tool.
        steering: what operators have changed about it.
        people: whom it may ask for a word, and when it is handed to somebody.
        machine: its state.
        drift: what a judge of its goal is shown.
        task: what it was asked; empty where not known.
        notes: what its model is to be told with the next thing it hears.
        near: limits that have come near, in the order they did.
        denials: calls that were asked for and never made, by tool.
        roles: of the caller the run serves, for the policy; those of the request's caller where none are given.
    """

    def __init__(self, guard: Guard, run: Run, *, owns: bool = True, task: str = "", roles: Iterable[str] = ()) -> None:
        self.guard = guard
        self.run = run
        self.loops = LoopGuard(guard.loops, guard.clock)
        self.notes = Notes()
        self.drift = Drift(guard.goal)
        self.task = task
        self.failures = Failures()
        self.steering = Steering()
        self.people = People(self, guard.escalation)
        self.machine = StateMachine(self._state_changed)
        self.near: list[Near] = []
        self.denials: dict[str, int] = {}
        serving = request_caller()
        self.roles = frozenset(roles) or frozenset(serving.roles if serving else ())
        self._policy_version = ""
        self._limits = LimitsInForce(bounded(guard.limits, serving.budget if serving else {}))
        self._owns = owns
        self._started = guard.clock()
        self._stopped: RunStopped | None = None
        self._lock = threading.Lock()
        self._books: Books | None = None

    def __enter__(self) -> Self:
        if self._owns:
            self.run.__enter__()
        try:
            self.policy()
        except BaseException as error:
            if self._owns:
                self.run.__exit__(type(error), error, error.__traceback__)
            raise
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        CURRENT.reset(self._token)
        if not self._owns:
            return False
        stop = self._stopped
        failed = error is not None and not isinstance(error, RunStopped)
        if stop is not None:
            # Whatever a framework made of it on the way out, this is why the run ended.
            self.run.stop(stop.reason)
            if error is not None and _led_to(error, stop):
                kind, error, failed = type(stop), stop, False
        ended_well = stop is None or stop.reason.code in _COMPLETED
        self.close(completed=ended_well and not failed)
        return self.run.__exit__(kind, error, traceback)

    @property
    def books(self) -> Books:
        """What the run has spent and may spend."""
        with self._lock:
            if self._books is None:
                # A run's id is known once its block is entered.
                subject = Subject(
                    run_id=self.run.run_id,
                    request_id=self.run.request_id or "",
                    tenant=self.tenant,
                    user_id=self.run.user_id or "",
                    agent=self.guard.name,
                )
                self._books = Books(self.run, self.limits, subject, self.guard.budgets, self.near.append)
            return self._books

    @property
    def caller(self) -> Caller:
        """For whom the run's calls are made, as policies see it."""
        run = self.run
        return Caller(self.roles, self.tenant, run.user_id or "", self.guard.name, run.run_id)

    def policy(self) -> CallPolicy:
        """Return the policy in force now; its version is written down where it is another than before."""
        policy = self.guard.policy()
        before, self._policy_version = self._policy_version, policy.fingerprint
        if before != policy.fingerprint:
            said = {"what": "policy", "fingerprint": policy.fingerprint, "before": before or None}
            self.run.event("config", **said)
        return policy

    @property
    def limits(self) -> Limits:
        """The run's limits as they are now; operators may have changed them."""
        return self._limits.now

    @property
    def tenant(self) -> str:
        """Whose run it is; ``default`` where nobody said."""
        return self.run.tenant or "default"

    @property
    def stopped(self) -> StopReason | None:
        """Why nothing more is let through; None while the run goes."""
        return None if self._stopped is None else self._stopped.reason

    def tool(self, name: str, arguments: Mapping[str, Any], *, polling: bool = False) -> GuardedToolCall:
        """Return a guarded tool call to enter with ``with`` or ``async with``."""
        return self.tool_call(ToolAsk(name, arguments, polling=polling))

    def tool_call(self, ask: ToolAsk) -> GuardedToolCall:
        """Return a guarded tool call to enter with ``with`` or ``async with``."""
        return GuardedToolCall(self, ask)

    def model(
        self,
        model: str,
        *,
        provider: str = "",
        input_tokens: int = 0,
        max_output_tokens: int | None = None,
        **recorded: Any,  # noqa: ANN401 - as spanhouse.model_call takes them
    ) -> GuardedModelCall:
        """Return a guarded model call to enter with ``with`` or ``async with``.

        Args:
            model: the model asked for.
            provider: who serves it.
            input_tokens: a cautious guess at what is sent, for the reservation.
            max_output_tokens: the most it may write; the run's limit where not given.
            recorded: ``messages``, ``system`` and ``tools``, as ``spanhouse.model_call`` takes them.
        """
        most = max_output_tokens or self.limits.max_output_tokens
        return GuardedModelCall(self, ModelAsk(model, provider, input_tokens, most), **recorded)

    def admit_tool(self, ask: ToolAsk) -> ToolPermit:
        """Return the permit for a tool call, waiting where it has to: for a person, a turn, the end of a pause.

        Raises:
            CallRefused: this call is not made, and the model is to be told why.
            RunStopped: the run is over.
        """
        return self._decided(lambda: drive(tool_flow(self, ask)))

    def again(self, permit: ToolPermit, seconds: float) -> None:
        """Wait so many seconds and renew a permit whose attempt was given back with ``attempted``.

        Raises:
            RunStopped: the run is over; an operator's stop also ends the wait.
        """
        self._decided(lambda: drive(again_flow(permit, seconds)))

    async def admit_tool_async(self, ask: ToolAsk) -> ToolPermit:
        """Return the permit for a tool call without holding up the event loop; raises as ``admit_tool``."""
        return await self._decided_async(tool_flow(self, ask))

    def admit_model(self, ask: ModelAsk) -> ModelPermit:
        """Return the permit for a model call.

        Raises:
            RunStopped: the run is over.
        """
        return self._decided(lambda: drive(model_flow(self, ask)))

    async def admit_model_async(self, ask: ModelAsk) -> ModelPermit:
        """Return the permit for a model call without holding up the event loop; raises as ``admit_model``."""
        return await self._decided_async(model_flow(self, ask))

    def look(self, tool: str = "") -> Flag | None:
        """Return the flag that is meant for the run now; also called while a call is under way.

        A pause is not obeyed here: a call under way is let go on.

        Raises:
            RunStopped: an operator stopped or disabled it, news is required and stale, or a limit is reached.
        """
        return self._decided(lambda: self._look(tool))

    def stop(self, reason: StopReason, detail: str = "") -> RunStopped:
        """Return the exception that ends the run; from now on no call is let through."""
        return self.remember(RunStopped(reason, detail))

    def remember(self, stop: RunStopped) -> RunStopped:
        """Return the stop that stands: the first one."""
        with self._lock:
            first = self._stopped is None
            stands = self._stopped = self._stopped or stop
        if first:
            self.people.stopped(stands)
        return stands

    def failed(self, tool: str, kind: ErrorType, message: str) -> None:
        """Count a failure of a tool, also one that never came to a call.

        Raises:
            RunStopped: the tool has failed so often in a row with this error that it is exhausted.
        """
        self._decided(self.people.failed)
        count = self.failures.failed(tool, kind.value, message)
        if count >= self.limits.equal_failures:
            raise self.stop(StopReason(StopCode.TOOL_ERROR_EXHAUSTED, tool), f"{count} times in a row: {message}")

    def said(self, text: str) -> None:
        """Look at what the model said.

        Raises:
            RunStopped: it says the same again and again, and had been warned.
        """
        self.drift.said(text)
        self._decided(lambda: mind(self, self.loops.said(text)))

    def denied(self, tool: str) -> None:
        """Count a call that was asked for and never made."""
        self.denials[tool] = self.denials.get(tool, 0) + 1

    def refuse_if_stopped(self) -> None:
        """Return while the run goes.

        Raises:
            RunStopped: it is over; the reason is the first that was given.
        """
        if self._stopped is not None:
            raise RunStopped(self._stopped.reason, self._stopped.detail)

    def tighten(self, limits: Mapping[str, float], *, by: str, reason: str = "", flag_id: str = "") -> None:
        """Lower limits from the next call on, written down as ``override``. Said again it changes and writes nothing.

        Args:
            limits: by name, such as ``{"max_usd": 0.1}``; those that are lower already stay as they are.
            by: who says so.
            reason: why.
            flag_id: of the operator's flag; ``loosen`` takes back what was tightened under it.

        Raises:
            ConfigurationError: a limit cannot be changed, or not to this value; nothing has changed.
        """
        self._changed(self._limits.tighten(limits, flag_id), by, reason, flag_id)

    def loosen(
        self, limits: Mapping[str, float] | None = None, *, by: str, reason: str = "", flag_id: str = ""
    ) -> None:
        """Raise limits, or take back a tightening; written down as ``override``. A run that has ended stays ended.

        Args:
            limits: by name; those that are higher already stay as they are, and what was tightened stays tightened.
                None takes back what was tightened under ``flag_id``.
            by: who says so.
            reason: why.
            flag_id: of the operator's flag.

        Raises:
            ConfigurationError: a limit cannot be changed, or not to this value; nothing has changed.
        """
        changed = self._limits.lift(flag_id) if limits is None else self._limits.raise_to(limits)
        self._changed(changed, by, reason, flag_id)

    def remaining_seconds(self) -> float:
        """Return what is left of the run's time."""
        return max(0.0, self.limits.max_seconds - (self.guard.clock() - self._started))

    def note_time(self) -> None:
        """Book the time the run has been going."""
        self.books.ledger.elapsed(round((self.guard.clock() - self._started) * 1_000))

    def close(self, *, completed: bool) -> None:
        """Write down the run's last state and what it used of its limits."""
        self.note_time()
        last = RunState.COMPLETED if completed else RunState.FAILED
        # A run that asked for nothing has been idle all the time, and has completed all the same.
        if completed and self.machine.state is RunState.IDLE:
            self.machine.to(RunState.THINKING)
        self.machine.to(last, str(self.stopped or ("" if completed else "error")))
        self.run.set_attribute(keys.STATE, self.machine.state.value)
        self.run.budget(self.books.ledger.report())
        self.books.close()

    def _changed(self, changes: Changes, by: str, reason: str, flag_id: str) -> None:
        if not changes:
            return
        self.run.event(
            "override",
            by=by,
            what="limits",
            reason=reason or None,
            flag_id=flag_id or None,
            before={name: before for name, (before, _) in changes.items()},
            after={name: after for name, (_, after) in changes.items()},
        )
        self.books.limit(self.limits)

    def _look(self, tool: str) -> Flag | None:
        self.refuse_if_stopped()
        flag = self._obeyed(tool)
        self.note_time()
        self.books.check()
        return flag

    def _obeyed(self, tool: str) -> Flag | None:
        control = self.guard.control
        if control is None:
            return None
        meant = control.view.meant(
            run_id=self.run.run_id,
            agent=self.guard.name,
            tenant=self.tenant,
            tools=(tool,) if tool else (),
            user=self.run.user_id or "",
        )
        flag = first_of(meant)
        if flag is not None and (reason := stop_reason_of(flag, tool=tool)) is not None:
            self._flagged(flag, tool)
            raise RunStopped(reason, f"by {flag.by or 'an operator'}: {flag.reason or 'no reason given'}")
        if control.stale():
            detail = f"nothing heard from the control server for {control.view.age():.0f} s"
            self.run.event("disabled", scope="all", target="control", tool=tool or None, reason=detail)
            raise RunStopped(STALE, detail)
        # Before the budgets are looked at: a limit that was raised in time must not end the run.
        self.steering.follow(self, meant)
        return flag

    def _decided(self, decide: Callable[[], T]) -> T:
        try:
            return decide()
        except RunStopped as stop:
            self.remember(stop)
            raise

    async def _decided_async(self, flow: Flow[T]) -> T:
        try:
            return await drive_async(flow)
        except RunStopped as stop:
            self.remember(stop)
            raise

    def _flagged(self, flag: Flag, tool: str) -> None:
        who = {"by": flag.by or None, "reason": flag.reason or None, "flag_id": flag.id or None, "scope": flag.scope}
        if flag.action == "stop":
            self.run.event("kill", target=flag.target or None, **who)
        else:
            self.run.event("disabled", target=flag.target or flag.scope, tool=tool or None, **who)

    def _state_changed(self, before: RunState, after: RunState, legal: bool, reason: str) -> None:  # noqa: FBT001
        self.run.event("state", before=before.value, after=after.value, legal=legal, reason=reason or None)


def _led_to(error: BaseException, stop: RunStopped) -> bool:
    """Return whether an exception is what a framework made of the stop: one of its causes has the same reason."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, RunStopped) and link.reason == stop.reason:
            return True
        if isinstance(link, BaseExceptionGroup) and any(_led_to(inner, stop) for inner in link.exceptions):
            return True
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False
