"""When a run asks a person for a word, and when it is handed to one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from spanhouse.errors import RunStopped
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.guard.flow import Blocking, Flow, Wait, drive, drive_async
from spanhouse_runtime.people.asking import InputAnswer, InputChannel, InputRequest
from spanhouse_runtime.people.bands import Band, Bands
from spanhouse_runtime.state import RunState

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

INPUT_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class EscalationRules:
    """When runs of an agent are handed to a person.

    Attributes:
        bands: how sure it has to be to act by itself.
        failures: tool calls that fail in a row, of whatever tools, after which the run is handed over; None for never.
        limits: whether a run that a limit ends (steps, tool calls, seconds) is marked as handed to a person.
        to: who takes over, for the record.
    """

    bands: Bands = field(default_factory=Bands)
    failures: int | None = 5
    limits: bool = True
    to: str = ""


BY_HAND: Final = EscalationRules(failures=None, limits=False)
"""No rule hands a run over by itself; the agent's own words and its confidence do."""

_LIMITS: Final = frozenset({StopCode.MAX_STEPS, StopCode.MAX_TOOL_CALLS, StopCode.MAX_SECONDS})


class People:
    """The people beside one run; ``GuardedRun.people``.

    Args:
        guarded: the run.
        rules: when it is handed over.
    """

    def __init__(self, guarded: GuardedRun, rules: EscalationRules) -> None:
        self._guarded, self._rules = guarded, rules
        self._failures = 0

    def decide(
        self, option: object, confidence: float, *, options: Sequence[object] | None = None, reason: str = ""
    ) -> Band:
        """Write a decision down and return what may be done with it: ``act`` or ``review`` mean go on.

        A decision in the draft band is put to a person: their yes makes it ``act``, their no or silence ``draft``:
        then it is not to be carried out.

        Args:
            option: what was chosen.
            confidence: how sure, from 0 to 1.
            options: what there was to choose from.
            reason: why.

        Raises:
            RunStopped: ``escalated``: it is not sure enough for anything but a person.
        """
        return drive(self._decided(option, confidence, options, reason))

    async def decide_async(
        self, option: object, confidence: float, *, options: Sequence[object] | None = None, reason: str = ""
    ) -> Band:
        """Return as ``decide``, without holding up the event loop."""
        return await drive_async(self._decided(option, confidence, options, reason))

    def need_input(self, question: str, *, why: str = "", seconds: float = INPUT_SECONDS) -> str:
        """Return what a person answers to a question; the run waits in state ``waiting``.

        Args:
            question: in plain words.
            why: why it is asked.
            seconds: how long they have.

        Raises:
            RunStopped: ``escalated``: nobody is there to ask, nobody answered in time, or they would not; or the run
                was stopped meanwhile.
        """
        return drive(self._needed(question, why, seconds))

    async def need_input_async(self, question: str, *, why: str = "", seconds: float = INPUT_SECONDS) -> str:
        """Return as ``need_input``, without holding up the event loop."""
        return await drive_async(self._needed(question, why, seconds))

    def escalate(self, why: str, *, kind: str = "explicit") -> RunStopped:
        """Return the exception that ends the run as handed to a person; the record says why."""
        self._tell(why, kind)
        return self._guarded.stop(StopReason(StopCode.ESCALATED), why)

    def worked(self) -> None:
        """Note that a tool call worked: what failed before is no row any more."""
        self._failures = 0

    def failed(self) -> None:
        """Note that a tool call failed.

        Raises:
            RunStopped: ``escalated``: so many have failed in a row that somebody should look.
        """
        self._failures += 1
        if self._rules.failures is not None and self._failures >= self._rules.failures:
            self._hand_over(f"{self._failures} tool calls in a row failed", "failures")

    def stopped(self, stop: RunStopped) -> None:
        """Note the run's stop: where a limit ended it the run is handed to a person, and keeps its stop reason."""
        if self._rules.limits and stop.reason.code in _LIMITS:
            self._tell(f"ended by {stop.reason}", "limit")

    def _hand_over(self, why: str, kind: str) -> NoReturn:
        raise self.escalate(why, kind=kind)

    def _tell(self, why: str, kind: str) -> None:
        self._guarded.run.escalate(why, to=self._rules.to or None, kind=kind)

    def _decided(self, option: object, confidence: float, options: Sequence[object] | None, reason: str) -> Flow[Band]:
        run, band = self._guarded.run, self._rules.bands.of(confidence)
        decision_id = uuid.uuid4().hex
        sure = confidence if 0 <= confidence <= 1 else None
        said: dict[str, Any] = {
            "option": option,
            "options": list(options) if options is not None else None,
            "reason": reason or None,
        }
        run.event("decision", decision_id=decision_id, confidence=sure, band=band.value, **said)
        if band is Band.ESCALATE:
            self._hand_over(f"not sure enough of {str(option)[:200]!r}: {confidence}", "confidence")
        if band is Band.REVIEW:
            run.event("review", decision_id=decision_id, reason="queued: confidence in the review band")
        if band is not Band.DRAFT:
            return band
        question = f"May this be done? {str(option)[:2_000]}"
        answer, took = yield from self._answered(question, reason, INPUT_SECONDS, kind="draft")
        agreed = answer is not None and (answer.text or "").strip().lower() in {"yes", "y", "ok", "approve", "approved"}
        run.event(
            "review",
            decision_id=decision_id,
            correct=agreed if answer is not None else None,
            by=answer.by if answer is not None else None,
            reason=(answer.reason or answer.text) if answer is not None else "nobody answered",
            duration_ms=took,
        )
        return Band.ACT if agreed else Band.DRAFT

    def _needed(self, question: str, why: str, seconds: float) -> Flow[str]:
        answer, took = yield from self._answered(question, why, seconds, kind="need_input")
        if answer is None:
            self._hand_over(f"nobody answered: {question}", "need_input")
        self._guarded.run.event(
            "review", by=answer.by, reason=answer.reason or None, kind="need_input", duration_ms=took
        )
        if answer.text is None:
            self._hand_over(f"{answer.by} would not answer: {answer.reason or question}", "need_input")
        return answer.text

    def _answered(
        self, question: str, why: str, seconds: float, *, kind: str
    ) -> Flow[tuple[InputAnswer | None, float]]:
        guarded, guard, run = self._guarded, self._guarded.guard, self._guarded.run
        channel: object = guard.approver
        if not isinstance(channel, InputChannel):
            self._hand_over(f"nobody is there to ask: {question}", kind)
        guarded.look()
        request = InputRequest(
            run_id=run.run_id,
            request_id=run.request_id or "",
            tenant=guarded.tenant,
            user_id=run.user_id or "",
            agent=guard.name,
            question=question,
            why=why,
            expires_in=min(seconds, guarded.remaining_seconds()),
        )
        began = guard.clock()
        try:
            asked: str = yield Blocking(lambda: channel.ask_input(request))
        except Exception as problem:  # noqa: BLE001 - a question that cannot be put is handed over
            self._hand_over(f"the question could not be put: {problem}", kind)
        run.event("escalation", reason=question, to=self._rules.to or None, kind=kind, approval_id=asked)
        guarded.machine.to(RunState.WAITING, f"waits for a person: {question[:200]}")
        answer: InputAnswer | None = None
        try:
            while True:
                answer = yield Blocking(lambda: channel.input_answer(asked))
                left = began + request.expires_in - guard.clock()
                if answer is not None or left <= 0:
                    break
                guarded.look()
                yield Wait(min(_POLL_SECONDS, left))
        except BaseException:
            channel.withdraw(asked)
            raise
        if answer is None:
            yield Blocking(lambda: channel.withdraw(asked))
        return answer, round((guard.clock() - began) * 1_000, 3)
