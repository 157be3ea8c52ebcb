"""Run one allowed tool call: once where it must be, within its time, with its result or failure recorded."""

from __future__ import annotations

from dataclasses import dataclass

from spanhouse.canonical import args_hash
from spanhouse.classification import classify
from spanhouse.content import as_text
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.tool_calls import ToolCall, tool_call
from spanhouse_runtime.idempotency import Prior, idempotency_key
from spanhouse_runtime.policy import Verdict
from spanhouse_runtime.session import Session
from spanhouse_runtime.tools import CheckedCall, ToolFailure
from spanhouse_runtime.worker import CallTimeout, call_with_deadline

_REFUSALS = {
    Prior.UNKNOWN: (
        "An earlier call under this key has no recorded outcome: it may have taken effect. "
        "It is not repeated; find out what happened, or hand over to a person."
    ),
    Prior.CONFLICT: "This key was used with other arguments. Nothing was done; use the first arguments or another key.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tool call went.

    Attributes:
        content: the result as text, or the failure's message.
        error: the type of the failure; None for a result.
        replayed: the result is that of an earlier call.
        timed_out: the tool did not answer in time.
    """

    content: str
    error: ErrorType | None = None
    replayed: bool = False
    timed_out: bool = False


def run_tool(session: Session, checked: CheckedCall, verdict: Verdict) -> Outcome:
    """Return how the call went; what the tool raises is an outcome, not an exception.

    Raises:
        RunStopped: an operator or the run's time ended the wait.
    """
    tool = checked.tool
    key = ""
    if tool.once:
        explicit = tool.key(checked.arguments) if tool.key else ""
        key = idempotency_key(session.scope, tool.name, checked.arguments, explicit)
    try:
        with tool_call(
            tool.name,
            checked.arguments,
            call_id=checked.call_id or None,
            polling=tool.polling,
            idempotency_key=key or None,
            decision=verdict.decision.value,
            rule=verdict.rule,
        ) as span:
            return _once(session, checked, key, span) if key else _run(session, checked, span)
    except RunStopped:
        session.tools[tool.name].interrupted += 1
        raise
    except CallTimeout as problem:
        return Outcome(f"{tool.name}: {problem}", ErrorType.TIMEOUT, timed_out=True)
    except Exception as problem:  # noqa: BLE001 - a tool may raise anything; the span has it, the model is told
        return Outcome(f"{type(problem).__name__}: {problem}", classify(problem))


def _once(session: Session, checked: CheckedCall, key: str, span: ToolCall) -> Outcome:
    store = session.setup.idempotency
    begun = store.begin(key, checked.tool.name, args_hash(checked.arguments))
    if begun.prior is Prior.DONE:
        span.replayed()
        span.result(begun.result)
        return Outcome(begun.result, replayed=True)
    if begun.prior in _REFUSALS:
        message = _REFUSALS[begun.prior]
        span.failed(message, ErrorType.INVALID_INPUT, name=f"Outcome{begun.prior.value.capitalize()}")
        return Outcome(message, ErrorType.INVALID_INPUT)
    try:
        outcome = _run(session, checked, span)
    except ToolFailure:
        # The tool itself says that nothing was done. Any other way out leaves the intent: it may have been done.
        store.withdraw(key)
        raise
    store.finish(key, outcome.content)
    return outcome


def _run(session: Session, checked: CheckedCall, span: ToolCall) -> Outcome:
    tool = checked.tool
    # Where the run's own time is the shorter one, it is the check that ends the wait, and with it the run.
    value = call_with_deadline(
        tool.function,
        checked.values,
        timeout=tool.timeout_seconds or session.setup.guard.limits.tool_timeout_seconds,
        check=lambda: session.guarded.look(tool.name),
    )
    content = capped(as_text(value), session.setup.guard.limits.tool_result_bytes)
    span.result(content)
    return Outcome(content)


def capped(text: str, limit: int) -> str:
    """Return the text, cut to ``limit`` bytes of UTF-8 with a note of how much there was."""
    size = len(text.encode("utf-8", "replace"))
    if size <= limit:
        return text
    note = f"\n[cut: the first {limit} of {size} bytes]"
    kept = text.encode("utf-8", "replace")[: max(0, limit - len(note))]
    return kept.decode("utf-8", "ignore") + note
