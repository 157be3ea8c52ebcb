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
from spanhouse_runtime.reviews import Review
from spanhouse_runtime.session import Session
from spanhouse_runtime.tool_failure import Failure
from spanhouse_runtime.tool_run import run_tool
from spanhouse_runtime.tools import CheckedCall, InvalidCall, fitted


def answer_call(session: Session, call: ToolCall) -> str:
    """Return the answer to a tool call as text for the model: the result, or ``{"error": {"type", "message"}}``.

    An error has ``retry_after`` (seconds) and ``hint`` where they are known. Where the call completes a loop the text
    is ``{"result": <the answer>, "note": <a warning>}``.

    Raises:
        RunStopped: an operator, a policy, a loop, a limit, or the tool itself ended the run.
    """
    session.run.step(session.step, "tool")
    try:
        checked = session.setup.toolbox.check(call)
    except InvalidCall as problem:
        return session.guarded.notes.around(_invalid(session, call, problem))
    try:
        return session.guarded.notes.around(_answer(session, checked))
    except CallRefused as refused:
        return refused.as_text()


def _answer(session: Session, checked: CheckedCall) -> str:
    tool = checked.tool
    ask = ToolAsk(
        tool.name,
        checked.arguments,
        checked.call_id,
        polling=tool.polling,
        undo=tool.undo is not None,
        cost_usd=tool.cost_usd,
    )
    try:
        permit = session.guarded.admit_tool(ask)
    finally:
        if denials := session.guarded.denials.get(tool.name):
            session.tools[tool.name].denied = denials
    try:
        if permit.ask.arguments is not ask.arguments:
            # A person has written these, and they are checked as a model's are.
            try:
                checked = fitted(tool, checked.call_id, permit.ask.arguments)
            except InvalidCall as problem:
                permit.dropped()
                changed = ToolCall(checked.call_id, tool.name, permit.ask.arguments)
                return _invalid(session, changed, problem)
        return _executed(session, checked, permit)
    finally:
        permit.dropped()


def _invalid(session: Session, call: ToolCall, problem: InvalidCall) -> str:
    arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
    message = str(problem)
    with tool_call(call.name, arguments, call_id=call.id) as span:
        span.failed(message, ErrorType.INVALID_INPUT, name=InvalidCall.__name__)
    session.tools[call.name].failed += 1
    session.guarded.failed(call.name, ErrorType.INVALID_INPUT, message)
    return error_text(ErrorType.INVALID_INPUT.value, message, hint=problem.hint)


def _executed(session: Session, checked: CheckedCall, permit: ToolPermit) -> str:
    tool = checked.tool.name
    outcome = run_tool(session, checked, permit)
    tally = session.tools[tool]
    if outcome.failure is not None:
        tally.failed += 1
        return _failed(session, checked, permit, outcome.failure, made=outcome.made)
    if outcome.made:
        permit.worked(outcome.content)
        _keep_for_undo(session, checked, permit, outcome.content)
    else:
        permit.spared(outcome.content)
    if outcome.replayed:
        tally.replayed += 1
    else:
        tally.ok += 1
    if any(fnmatchcase(tool, glob) for glob in session.setup.handover):
        why = _why(checked.arguments)
        session.run.escalate(why)
        raise session.guarded.stop(StopReason(StopCode.ESCALATED), why)
    return outcome.content


def _failed(session: Session, checked: CheckedCall, permit: ToolPermit, failure: Failure, *, made: bool) -> str:
    tool = checked.tool.name
    # What may have been done already is not done once more by another tool.
    other = None
    if failure.nothing_done or not checked.tool.changes:
        other = session.setup.toolbox.instead(failure.kind, checked)
    if other is None and failure.timed_out and session.setup.on_timeout == "stop":
        stop = session.guarded.stop(StopReason(StopCode.TOOL_TIMEOUT, tool), failure.message)
        permit.failed(failure.kind, failure.message)
        raise stop
    permit.failed(failure.kind, failure.message, made=made)
    if other is None:
        return error_text(failure.kind.value, failure.message, retry_after=failure.retry_after, hint=failure.hint)
    session.run.event(
        "fallback", first_choice=tool, used=other.tool.name, reason=failure.kind.value, call_id=checked.call_id or None
    )
    # The other tool is asked for as any other: its own policy, traits, breaker and budget hold.
    return _answer(session, other)


def _keep_for_undo(session: Session, checked: CheckedCall, permit: ToolPermit, content: str) -> None:
    if not permit.review_id:
        return
    run, reviews = session.run, session.setup.reviews
    traits = session.setup.guard.traits.of(checked.tool.name)
    reviews.put(
        Review(
            review_id=permit.review_id,
            call_id=checked.call_id,
            run_id=run.run_id,
            request_id=run.request_id,
            user_id=run.user_id,
            tenant=session.guarded.tenant,
            environment=run.environment,
            tool=checked.tool,
            arguments=checked.arguments,
            result=content,
            until=reviews.clock() + traits.undo_seconds,
        )
    )


def _why(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("reason") or arguments.get("summary") or next(iter(arguments.values()), ""))
