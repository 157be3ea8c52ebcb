"""One tool call of a run: checked, judged, counted, run, recorded; always answered, unless it ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from spanhouse.errors import ErrorType
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse.tool_calls import tool_call
from spanhouse_runtime.guard import CallRefused, ToolAsk, ToolPermit
from spanhouse_runtime.guard.calls import error_text
from spanhouse_runtime.model import ToolCall
from spanhouse_runtime.session import Session
from spanhouse_runtime.tool_run import run_tool
from spanhouse_runtime.tools import CheckedCall, InvalidCall


def answer_call(session: Session, call: ToolCall) -> str:
    """Return the answer to a tool call as text for the model: the result, or ``{"error": {"type", "message"}}``.

    Where the call completes a loop the text is ``{"result": <the answer>, "note": <a warning>}``.

    Raises:
        RunStopped: an operator, a policy, a loop, a limit, or the tool itself ended the run.
    """
    session.run.step(session.step, "tool")
    try:
        checked = session.setup.toolbox.check(call)
    except InvalidCall as problem:
        return _invalid(session, call, str(problem))
    tool = checked.tool
    ask = ToolAsk(tool.name, checked.arguments, checked.call_id, polling=tool.polling)
    try:
        permit = session.guarded.admit_tool(ask)
    except CallRefused as refused:
        return refused.as_text()
    finally:
        if denials := session.guarded.denials.get(tool.name):
            session.tools[tool.name].denied = denials
    try:
        return session.guarded.notes.around(_executed(session, checked, permit))
    finally:
        permit.dropped()


def _invalid(session: Session, call: ToolCall, message: str) -> str:
    arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
    with tool_call(call.name, arguments, call_id=call.id) as span:
        span.failed(message, ErrorType.INVALID_INPUT, name=InvalidCall.__name__)
    session.tools[call.name].failed += 1
    session.guarded.failed(call.name, ErrorType.INVALID_INPUT, message)
    return error_text(ErrorType.INVALID_INPUT.value, message)


def _executed(session: Session, checked: CheckedCall, permit: ToolPermit) -> str:
    tool = checked.tool.name
    outcome = run_tool(session, checked, permit.verdict)
    tally = session.tools[tool]
    if outcome.error is not None:
        tally.failed += 1
        if outcome.timed_out and session.setup.on_timeout == "stop":
            stop = session.guarded.stop(StopReason(StopCode.TOOL_TIMEOUT, tool), outcome.content)
            permit.failed(outcome.error, outcome.content)
            raise stop
        permit.failed(outcome.error, outcome.content)
        return error_text(outcome.error.value, outcome.content)
    permit.worked(outcome.content)
    if outcome.replayed:
        tally.replayed += 1
    else:
        tally.ok += 1
    if any(fnmatchcase(tool, glob) for glob in session.setup.handover):
        why = _why(checked.arguments)
        session.run.escalate(why)
        raise session.guarded.stop(StopReason(StopCode.ESCALATED), why)
    return outcome.content


def _why(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("reason") or arguments.get("summary") or next(iter(arguments.values()), ""))
