"""Take an update back: the tool's own undo, as a recorded run on the account of the first one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import spanhouse as sh
from spanhouse.content import as_text
from spanhouse.runs import Run
from spanhouse_runtime.credentials import SecretMissing, cut_out
from spanhouse_runtime.reviews import Review, UndoRefused
from spanhouse_runtime.session import Setup
from spanhouse_runtime.tool_arguments import injected_into
from spanhouse_runtime.worker import call_with_deadline


def undo(setup: Setup, call: str, *, by: str, reason: str = "") -> str:
    """Return what the undo of a call returned, as text; see ``Agent.undo``.

    Raises:
        UndoRefused: the call is not on the review list any more, or its tool cannot undo.
        Exception: what the undo raised; the update stays on the list.
    """
    review = setup.reviews.take(call)
    function = review.tool.undo
    if function is None:
        setup.reviews.put(review)
        msg = f"{review.tool.name} has no undo: give the tool one, or take the call {call!r} back by hand"
        raise UndoRefused(msg)
    try:
        return _undone(setup, review, function, by, reason)
    except BaseException:
        setup.reviews.put(review)
        raise


def keep(setup: Setup, call: str, *, by: str, reason: str = "") -> None:
    """Take an entry off the list and record who looked at it; see ``Agent.keep``."""
    review = setup.reviews.take(call)
    with _run(setup, review, f"review {review.tool.name}") as run:
        _looked_at(run, review, "kept", by, reason)


def _run(setup: Setup, review: Review, name: str) -> Run:
    return sh.run(
        name,
        agent=setup.guard.name,
        request_id=review.request_id,
        user_id=review.user_id,
        tenant=review.tenant,
        environment=review.environment,
        task_type="review",
    )


def _looked_at(run: Run, review: Review, state: str, by: str, reason: str) -> None:
    run.event(
        "review",
        review_id=review.review_id,
        state=state,
        tool=review.tool.name,
        call_id=review.call_id or None,
        by=by,
        reason=reason or None,
        of_run=review.run_id,
    )


def _undone(setup: Setup, review: Review, function: Callable[..., Any], by: str, reason: str) -> str:
    name = f"undo {review.tool.name}"
    secrets = _secrets(setup, review, name, function)
    values = {"arguments": dict(review.arguments), "result": review.result}
    injected = injected_into(name, function)
    with _run(setup, review, name) as run, sh.tool_call(name, review.arguments) as span:
        value = call_with_deadline(
            function,
            {**values, **injected.values(secrets, review.review_id)},
            timeout=review.tool.timeout_seconds or setup.guard.limits.tool_timeout_seconds,
            check=lambda: None,
        )
        text = cut_out(as_text(value), secrets.values())
        span.result(text)
        _looked_at(run, review, "undone", by, reason)
    return text


def _secrets(setup: Setup, review: Review, name: str, function: Callable[..., Any]) -> Mapping[str, str]:
    needed = set(injected_into(name, function).secrets.values())
    if needed and setup.secrets is None:
        msg = f"{name} needs credentials and the agent was given none: Agent(secrets=...)"
        raise SecretMissing(msg)
    return {
        each: setup.secrets.resolve(each, tenant=review.tenant, environment=review.environment or "")
        for each in needed
        if setup.secrets is not None
    }
