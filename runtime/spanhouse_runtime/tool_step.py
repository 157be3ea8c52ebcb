"""One tool call of a run: checked, judged, counted, run, recorded; always answered, unless it ends the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from spanhouse.canonical import args_hash
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse.tool_calls import tool_call
from spanhouse_runtime.loop_guard import LoopAction, LoopVerdict
from spanhouse_runtime.model import ToolCall
from spanhouse_runtime.policy import Decision, Verdict
from spanhouse_runtime.session import Session
from spanhouse_runtime.state import RunState
from spanhouse_runtime.tool_run import Outcome, run_tool
from spanhouse_runtime.tools import CheckedCall, InvalidCall

_LOOP_NOTE = (
    "You have made the same call {length} times in a row; its answer will not change. "
    "Do something else or give your answer: the next such call ends the run."
)
_CYCLE_NOTE = (
    "You are repeating the same {length} calls in a circle. "
    "Do something else or give your answer: the next call of the circle ends the run."
)


def answer_call(session: Session, call: ToolCall) -> str:
    """Return the answer to a tool call as text for the model: the result, or ``{"error": {"type", "message"}}``.

    Where the call completes a loop the text is ``{"result": <the answer>, "note": <a warning>}``.

    Raises:
        RunStopped: an operator, a policy, a loop, a limit, or the tool itself ended the run.
    """
    session.run.step(session.step, "tool")
    session.machine.to(RunState.EXECUTING)
    try:
        checked = session.setup.toolbox.check(call)
    except InvalidCall as problem:
        return _invalid(session, call, str(problem))
    tool, arguments = checked.tool, checked.arguments
    session.check(tool.name)
    session.machine.to(RunState.EXECUTING)
    verdict = session.setup.policy.decide(tool.name, arguments)
    digest = args_hash(arguments)
    session.run.event(
        "policy.decision",
        tool=tool.name,
        decision=verdict.decision.value,
        args_hash=digest,
        rule=verdict.rule,
        reason=verdict.why or None,
    )
    loop = session.loops.observe(tool.name, digest, polling=tool.polling)
    denial = None if verdict.decision is Decision.ALLOW else _denied(session, checked, verdict)
    note = _loop_note(session, tool.name, digest, loop)
    if denial is not None:
        return _with_note(denial, note)
    session.settle(session.reserve({StopCode.MAX_TOOL_CALLS: 1}))
    return _with_note(_executed(session, checked, verdict), note)


def _invalid(session: Session, call: ToolCall, message: str) -> str:
    arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
    with tool_call(call.name, arguments, call_id=call.id) as span:
        span.failed(message, ErrorType.INVALID_INPUT, name=InvalidCall.__name__)
    return _failure(session, call.name, ErrorType.INVALID_INPUT, message)


def _denied(session: Session, checked: CheckedCall, verdict: Verdict) -> str:
    tool = checked.tool.name
    session.tools[tool].denied += 1
    with tool_call(
        tool,
        checked.arguments,
        call_id=checked.call_id,
        polling=checked.tool.polling,
        decision=verdict.decision.value,
        rule=verdict.rule,
    ) as span:
        span.denied(verdict.rule)
    code = StopCode.POLICY_DENY
    why = f"rule {verdict.rule!r}" + (f": {verdict.why}" if verdict.why else "")
    if verdict.decision is Decision.ASK:
        # Nobody is there to ask, and silence is no consent.
        code, why = StopCode.APPROVAL_DENIED, f"{why}; nobody is there to approve it"
        session.run.event("approval.denied", tool=tool, args_hash=args_hash(checked.arguments), reason=why)
    if session.setup.policy.on_deny == "stop":
        raise RunStopped(StopReason(code, tool), why)
    return _error_text(code.value, f"{tool} was not allowed by {why}")


def _loop_note(session: Session, tool: str, digest: str, loop: LoopVerdict) -> str:
    if loop.action is LoopAction.NONE:
        return ""
    cycle = loop.pattern == "cycle"
    session.run.event(
        "loop",
        tool=tool,
        args_hash=digest,
        repeats=loop.length if not cycle else session.loops.repeats,
        cycle_length=loop.length if cycle else 1,
        action=loop.action.value,
        warned=loop.action is LoopAction.WARN,
    )
    if loop.action is LoopAction.STOP:
        what = f"a circle of {loop.length} calls" if cycle else f"the same call {loop.length} times in a row"
        raise RunStopped(StopReason(StopCode.LOOP_DETECTED, tool), f"{what}, after a warning")
    return (_CYCLE_NOTE if cycle else _LOOP_NOTE).format(length=loop.length)


def _executed(session: Session, checked: CheckedCall, verdict: Verdict) -> str:
    tool = checked.tool.name
    outcome = run_tool(session, checked, verdict)
    if outcome.error is not None:
        return _tool_failed(session, tool, outcome)
    session.failures.worked(tool)
    tally = session.tools[tool]
    if outcome.replayed:
        tally.replayed += 1
    else:
        tally.ok += 1
    if any(fnmatchcase(tool, glob) for glob in session.setup.handover):
        why = _why(checked.arguments)
        session.run.escalate(why)
        raise RunStopped(StopReason(StopCode.ESCALATED), why)
    return outcome.content


def _tool_failed(session: Session, tool: str, outcome: Outcome) -> str:
    assert outcome.error is not None
    if outcome.timed_out and session.setup.on_timeout == "stop":
        session.tools[tool].failed += 1
        raise RunStopped(StopReason(StopCode.TOOL_TIMEOUT, tool), outcome.content)
    return _failure(session, tool, outcome.error, outcome.content)


def _failure(session: Session, tool: str, kind: ErrorType, message: str) -> str:
    session.tools[tool].failed += 1
    count = session.failures.failed(tool, kind.value, message)
    if count >= session.setup.limits.equal_failures:
        raise RunStopped(StopReason(StopCode.TOOL_ERROR_EXHAUSTED, tool), f"{count} times in a row: {message}")
    return _error_text(kind.value, message)


def _error_text(kind: str, message: str) -> str:
    return json.dumps({"error": {"type": kind, "message": message}}, ensure_ascii=False)


def _with_note(content: str, note: str) -> str:
    return json.dumps({"result": content, "note": note}, ensure_ascii=False) if note else content


def _why(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("reason") or arguments.get("summary") or next(iter(arguments.values()), ""))
