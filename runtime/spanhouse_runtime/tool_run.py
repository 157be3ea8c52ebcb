"""Run one allowed tool call: once where it must be, again where it may be, with what came of it recorded."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spanhouse.canonical import args_hash
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.tool_calls import ToolCall, tool_call
from spanhouse_runtime.credentials import SecretMissing, cut_out
from spanhouse_runtime.guard import ToolPermit
from spanhouse_runtime.idempotency import Prior, idempotency_key
from spanhouse_runtime.isolated import IsolatedCall
from spanhouse_runtime.money import usd
from spanhouse_runtime.session import Session
from spanhouse_runtime.tool_arguments import Injected
from spanhouse_runtime.tool_failure import Failure, failure_of
from spanhouse_runtime.tool_result import ToolResult, capped, fitting, hooked, without_secrets
from spanhouse_runtime.tools import CheckedCall, Tool
from spanhouse_runtime.worker import call_with_deadline

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
        failure: what went wrong; None for a result.
        replayed: the result is that of an earlier call.
        made: the function was called.
    """

    content: str
    failure: Failure | None = None
    replayed: bool = False
    made: bool = True


def run_tool(session: Session, checked: CheckedCall, permit: ToolPermit) -> Outcome:
    """Return how the call went; what the tool raises is an outcome, not an exception.

    Raises:
        RunStopped: an operator or the run's time ended the wait.
    """
    tool, run, tenant = checked.tool, session.run, session.guarded.tenant
    if tool.cache_seconds:
        cached = session.setup.cache.get(tenant, run.environment or "", tool.name, checked.arguments)
        if cached is not None:
            with _recorded(checked, permit) as span:
                run.event("cache.hit", cache="tool", key=span.args_hash, tool=tool.name, age_seconds=cached.age)
                return _replayed(span, cached.content)
    key = ""
    if tool.keyed:
        explicit = tool.key(checked.arguments) if tool.key else ""
        key = idempotency_key(session.scope, tool.name, checked.arguments, explicit)
    try:
        outcome = _once(session, checked, permit, key) if tool.once else _attempts(session, checked, permit, key)
    except RunStopped:
        session.tools[tool.name].interrupted += 1
        raise
    if tool.cache_seconds and outcome.failure is None:
        session.setup.cache.put(
            tenant, run.environment or "", tool.name, checked.arguments, outcome.content, tool.cache_seconds
        )
    return outcome


def _once(session: Session, checked: CheckedCall, permit: ToolPermit, key: str) -> Outcome:
    store = session.setup.idempotency
    begun = store.begin(key, checked.tool.name, args_hash(checked.arguments))
    if begun.prior is Prior.DONE:
        with _recorded(checked, permit, key) as span:
            return _replayed(span, begun.result)
    if begun.prior in _REFUSALS:
        message = _REFUSALS[begun.prior]
        name = f"Outcome{begun.prior.value.capitalize()}"
        with _recorded(checked, permit, key) as span:
            span.failed(message, ErrorType.INVALID_INPUT, name=name)
        return Outcome(message, Failure(ErrorType.INVALID_INPUT, name, message), made=False)
    outcome = _attempts(session, checked, permit, key)
    if outcome.failure is None:
        store.finish(key, outcome.content)
    elif outcome.failure.nothing_done:
        # The tool itself says that nothing was done. Any other way out leaves the intent: it may have been done.
        store.withdraw(key)
    return outcome


def _attempts(session: Session, checked: CheckedCall, permit: ToolPermit, key: str) -> Outcome:
    tool, clock = checked.tool, session.setup.guard.clock
    began, attempt, had_effect = clock(), 1, False
    while True:
        outcome = _attempt(session, checked, permit, key, attempt)
        failure = outcome.failure
        if failure is None or tool.retrying is None:
            return outcome
        had_effect = had_effect or not failure.nothing_done
        if had_effect and failure.nothing_done:
            # An earlier attempt may have done it.
            outcome = Outcome(outcome.content, replace(failure, nothing_done=False))
        if failure.kind not in tool.retrying.on or (had_effect and not tool.repeatable):
            return outcome
        wait = tool.retrying.wait(
            attempt,
            spent=clock() - began,
            asked=failure.retry_after,
            draw=random.random(),  # noqa: S311 - so that callers do not keep step
        )
        if wait is None:
            return outcome
        attempt += 1
        session.run.event(
            "retry", tool=tool.name, attempt=attempt, delay_ms=round(wait * 1_000, 3), error_type=failure.kind
        )
        session.tools[tool.name].retried += 1
        permit.attempted()
        session.guarded.again(permit, wait)


def _attempt(session: Session, checked: CheckedCall, permit: ToolPermit, key: str, attempt: int) -> Outcome:
    tool = checked.tool
    credentials: Collection[str] = ()
    with _recorded(checked, permit, key, attempt if tool.retrying else None) as span:
        if permit.cost:
            span.cost(usd(permit.cost))
        try:
            secrets = resolved(session, tool.injected)
            credentials = secrets.values()
            values = {**checked.values, **tool.injected.values(secrets, key)}
            content = _content(session, checked, _called(session, tool, values), credentials)
        except RunStopped:
            raise
        except Exception as problem:  # noqa: BLE001 - a tool may raise anything; the span has it, the model is told
            failure = failure_of(tool.name, problem)
            message, hint = cut_out(failure.message, credentials), cut_out(failure.hint, credentials)
            failure = replace(failure, message=message, hint=hint)
            span.failed(message, failure.kind, name=failure.name)
            session.tools[tool.name].left_running += failure.left_running
            return Outcome(message, failure)
        span.result(content)
        return Outcome(content)


def resolved(session: Session, injected: Injected) -> Mapping[str, str]:
    """Return the credentials a function needs, by name.

    Raises:
        SecretMissing: one is not there for the run's tenant and environment.
    """
    if not injected.secrets:
        return {}
    secrets, run = session.setup.secrets, session.run
    if secrets is None:
        msg = "the agent was given no credentials: Agent(secrets=...)"
        raise SecretMissing(msg)
    return {
        name: secrets.resolve(name, tenant=session.guarded.tenant, environment=run.environment or "")
        for name in set(injected.secrets.values())
    }


def _called(session: Session, tool: Tool, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever it returns
    isolated = IsolatedCall(tool.function, values) if tool.isolate else None
    function: Callable[..., Any] = isolated.run if isolated else tool.function
    # Where the run's own time is the shorter one, it is the check that ends the wait, and with it the run.
    return call_with_deadline(
        function,
        {} if isolated else values,
        timeout=tool.timeout_seconds or session.setup.guard.limits.tool_timeout_seconds,
        check=lambda: session.guarded.look(tool.name),
        kill=isolated.kill if isolated else None,
    )


def _content(session: Session, checked: CheckedCall, value: Any, credentials: Collection[str]) -> str:  # noqa: ANN401
    tool, run = checked.tool, session.run
    text = without_secrets(run, tool, fitting(tool, value), credentials)
    result = ToolResult(tool.name, checked.arguments, text, session.guarded.tenant, run.run_id)
    text = hooked(run, tool, session.setup.after_tool, result)
    return capped(text, tool.result_bytes or session.setup.guard.limits.tool_result_bytes)


def _recorded(checked: CheckedCall, permit: ToolPermit, key: str = "", attempt: int | None = None) -> ToolCall:
    return tool_call(
        checked.tool.name,
        checked.arguments,
        call_id=checked.call_id or None,
        attempt=attempt,
        polling=checked.tool.polling,
        idempotency_key=key or None,
        decision=permit.verdict.decision.value,
        rule=permit.verdict.rule,
    )


def _replayed(span: ToolCall, content: str) -> Outcome:
    span.replayed()
    span.result(content)
    return Outcome(content, replayed=True, made=False)
