"""What the policy says about a call, and what a refusal comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanhouse.errors import RunStopped
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse.tool_calls import tool_call
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.caring import careful
from spanhouse_runtime.policy import CallPolicy, Verdict, lifted

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun


def judge(guarded: GuardedRun, policy: CallPolicy, ask: ToolAsk) -> Verdict:
    """Return the policy's verdict on a call and what its tool declares, written down as ``policy.decision``."""
    caller, traits = guarded.caller, guarded.guard.traits.of(ask.tool, ask.action)
    verdict = policy.decide(ask.tool, ask.arguments, caller)
    verdict = lifted(verdict, guarded.steering.grants, ask.tool, ask.arguments, caller)
    verdict = careful(verdict, traits)
    guarded.run.event(
        "policy.decision",
        tool=ask.tool,
        decision=verdict.decision.value,
        args_hash=ask.digest,
        rule=verdict.rule,
        policy_version=policy.fingerprint,
        reason=verdict.why or None,
    )
    return verdict


def because(verdict: Verdict) -> str:
    """Return the rule and its reason in words."""
    return f"rule {verdict.rule!r}" + (f": {verdict.why}" if verdict.why else "")


def record_denied(guarded: GuardedRun, ask: ToolAsk, verdict: Verdict) -> None:
    """Record the call that was asked for and never made, as a span and a ``tool.call`` event."""
    with tool_call(
        ask.tool,
        ask.arguments,
        call_id=ask.call_id or None,
        polling=ask.polling,
        decision=verdict.decision.value,
        rule=verdict.rule,
    ) as span:
        span.denied(verdict.rule)
    guarded.denied(ask.tool)


def refusal(
    guarded: GuardedRun, policy: CallPolicy, ask: ToolAsk, code: StopCode, why: str
) -> CallRefused | RunStopped:
    """Return what a refused call raises: the run's stop, or a refusal for the model where the policy says so."""
    if policy.on_deny == "stop":
        return guarded.stop(StopReason(code, ask.tool), why)
    return CallRefused(code.value, f"{ask.tool} was not allowed by {why}", guarded.notes)
