"""A person's word on one call: put the question, wait, and bind the answer to what was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from spanhouse.canonical import args_hash
from spanhouse.errors import RunStopped
from spanhouse.failures import message_of
from spanhouse.notices import warn_once
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.guard.approval import ApprovalAnswer, ApprovalRequest, Approver
from spanhouse_runtime.guard.calls import ToolAsk
from spanhouse_runtime.guard.flow import Blocking, Flow, Wait
from spanhouse_runtime.guard.judging import because, judge, record_denied, refusal
from spanhouse_runtime.policy import CallPolicy, Decision, Verdict
from spanhouse_runtime.state import RunState
from spanhouse_runtime.worker import CallTimeout, call_with_deadline

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.25
_LEAST_SECONDS = 1.0
"""How long a question or an answer may take on its way, however little time there is."""


def approved(guarded: GuardedRun, policy: CallPolicy, ask: ToolAsk, verdict: Verdict) -> Flow[tuple[ToolAsk, Verdict]]:
    """Return the call a person let through, which may have other arguments, and the verdict it goes under.

    Raises:
        CallRefused: they refused it, or nobody answered, and the policy tells the model.
        RunStopped: the same, and the policy ends the run; or the run was stopped meanwhile.
    """
    digest = args_hash(ask.arguments)
    approver = guarded.guard.approver
    if approver is None:
        # Nobody is there to ask, and silence is no consent.
        why = f"{because(verdict)}; nobody is there to approve it"
        record_denied(guarded, ask, verdict)
        guarded.run.event("approval.denied", tool=ask.tool, args_hash=digest, reason=why)
        raise refusal(guarded, policy, ask, StopCode.APPROVAL_DENIED, why)
    began = guarded.guard.clock()
    asked, answer = yield from _answered(guarded, policy, approver, ask, verdict)
    waited = round((guarded.guard.clock() - began) * 1_000, 3)
    event: dict[str, Any] = {"approval_id": asked, "tool": ask.tool, "args_hash": digest, "duration_ms": waited}
    if answer is None:
        record_denied(guarded, ask, verdict)
        guarded.run.event("approval.timeout", **event)
        why = f"{because(verdict)}; nobody answered within {waited / 1_000:.0f} s"
        raise refusal(guarded, policy, ask, StopCode.APPROVAL_TIMEOUT, why)
    reason = answer.reason
    if answer.approved and answer.args_hash != digest:
        answer, reason = replace(answer, approved=False), f"{reason} (said of other arguments)".strip()
    if not answer.approved:
        record_denied(guarded, ask, verdict)
        guarded.run.event("approval.denied", by=answer.by, reason=reason or None, **event)
        why = f"{because(verdict)}; refused by {answer.by}" + (f": {reason}" if reason else "")
        raise refusal(guarded, policy, ask, StopCode.APPROVAL_DENIED, why)
    guarded.run.event("approval.given", by=answer.by, reason=reason or None, **event)
    return _still_allowed(guarded, policy, ask, verdict, answer)


def _still_allowed(
    guarded: GuardedRun, policy: CallPolicy, ask: ToolAsk, verdict: Verdict, answer: ApprovalAnswer
) -> tuple[ToolAsk, Verdict]:
    changed = ask
    if answer.arguments is not None:
        changed = replace(ask, arguments=answer.arguments)
        guarded.run.event(
            "override",
            by=answer.by,
            what="arguments",
            reason=answer.reason or None,
            tool=ask.tool,
            before=args_hash(ask.arguments),
            after=args_hash(changed.arguments),
        )
    # While a person thought the policy may have changed; and what they wrote has been judged by nobody yet.
    now = guarded.policy()
    if now.fingerprint != policy.fingerprint or changed is not ask:
        verdict = judge(guarded, now, changed)
        if verdict.decision is Decision.DENY:
            record_denied(guarded, changed, verdict)
            raise refusal(guarded, now, changed, StopCode.POLICY_DENY, because(verdict))
    return changed, verdict


def _answered(
    guarded: GuardedRun, policy: CallPolicy, approver: Approver, ask: ToolAsk, verdict: Verdict
) -> Flow[tuple[str, ApprovalAnswer | None]]:
    run, guard = guarded.run, guarded.guard
    request = ApprovalRequest(
        run_id=run.run_id,
        request_id=run.request_id or "",
        tenant=guarded.tenant,
        user_id=run.user_id or "",
        agent=guard.name,
        tool=ask.tool,
        arguments=ask.arguments,
        args_hash=args_hash(ask.arguments),
        rule=verdict.rule,
        why=verdict.why,
        policy_version=policy.fingerprint,
        expires_in=min(guard.approval_seconds, guarded.remaining_seconds()),
    )
    deadline = guard.clock() + request.expires_in
    try:
        asked: str = yield Blocking(lambda: _beside(guarded, ask.tool, approver.ask, request, request.expires_in))
    except Exception as problem:
        # Control fails closed: a question that cannot be put is a refusal.
        if isinstance(problem, RunStopped):
            raise
        why = f"the question could not be put: {type(problem).__name__}: {message_of(problem)}"
        record_denied(guarded, ask, verdict)
        run.event("approval.denied", tool=ask.tool, args_hash=request.args_hash, reason=why)
        raise refusal(guarded, policy, ask, StopCode.APPROVAL_DENIED, why) from problem
    run.event(
        "approval.asked", approval_id=asked, tool=ask.tool, args_hash=request.args_hash, reason=verdict.why or None
    )
    guarded.machine.to(RunState.WAITING, f"waits for approval of {ask.tool}")
    try:
        while True:
            answer: ApprovalAnswer | None = yield Blocking(
                lambda: _answer(guarded, ask.tool, approver, asked, deadline)
            )
            left = deadline - guard.clock()
            if answer is not None or left <= 0:
                break
            guarded.look(ask.tool)
            yield Wait(min(_POLL_SECONDS, left))
    except BaseException:
        _withdraw(approver, asked)
        raise
    if answer is None:
        yield Blocking(lambda: _withdraw(approver, asked))
    return asked, answer


def _answer(guarded: GuardedRun, tool: str, approver: Approver, asked: str, deadline: float) -> ApprovalAnswer | None:
    left = max(0.0, deadline - guarded.guard.clock())
    try:
        answer: Any = _beside(guarded, tool, approver.answer, asked, max(left, _LEAST_SECONDS))
    except RunStopped:
        raise
    except CallTimeout:
        return None
    except Exception as problem:  # noqa: BLE001 - what cannot be read is no consent
        why = f"the answer could not be read: {type(problem).__name__}: {message_of(problem)}"
        return ApprovalAnswer(approved=False, by="nobody", reason=why)
    if answer is None or isinstance(answer, ApprovalAnswer):
        return answer
    why = f"the approver's word is no ApprovalAnswer but a {type(answer).__name__}"
    return ApprovalAnswer(approved=False, by="nobody", reason=why)


def _withdraw(approver: Approver, asked: str) -> None:
    """Take the question back; it runs out by itself where that takes long or fails, and the run does not wait."""
    try:
        call_with_deadline(lambda: approver.withdraw(asked), {}, timeout=_LEAST_SECONDS, check=lambda: None)
    except Exception as problem:  # noqa: BLE001 - the run ends for another reason, and keeps it
        warn_once("withdraw", f"a question could not be taken back and runs out by itself: {message_of(problem)}")


def _beside(guarded: GuardedRun, tool: str, call: Callable[[T], R], given: T, seconds: float) -> R:
    """Return what an approver says; a server that keeps it waiting holds up no operator's stop.

    Raises:
        RunStopped: the run is over.
        CallTimeout: it took longer.
    """
    said: R = call_with_deadline(lambda: call(given), {}, timeout=seconds, check=lambda: guarded.look(tool))
    return said
