"""What a run does when a limit comes near: a cheaper model, shorter answers, other instructions; never a surprise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanhouse_runtime.budget import Near, shown
from spanhouse_runtime.model import Model

if TYPE_CHECKING:
    from spanhouse_runtime.session import Session

_log = logging.getLogger(__name__)

_BY = "on_near_limit"


@dataclass(frozen=True, slots=True)
class Ease:
    """What is other from the next model call on; None leaves it as it is.

    Attributes:
        model: what the run thinks with from now on, such as a cheaper tier.
        max_output_tokens: the most one answer may be; it is never raised by this.
        instructions: the system message, such as one that asks for a short answer.
    """

    model: Model | None = None
    max_output_tokens: int | None = None
    instructions: str | None = None


OnNearLimit = Callable[[Near], Ease | None]
"""Told of a limit whose use has reached the warning share, once for each limit; says what to change."""


def ease(session: Session) -> None:
    """Ask what to change for every limit that has come near since, change it, and write it down.

    Where the hook fails the run goes on as it was: the limit itself holds all the same.
    """
    hook, near = session.setup.on_near_limit, session.guarded.near
    while hook is not None and session.eased < len(near):
        limit = near[session.eased]
        session.eased += 1
        try:
            change = hook(limit)
        except Exception:  # noqa: BLE001 - the user's own code
            _log.exception("on_near_limit failed for %s; the run goes on as it was", limit.code)
            continue
        if change is not None:
            _apply(session, change, _words(limit))


def _apply(session: Session, change: Ease, why: str) -> None:
    run = session.run
    if change.model is not None and change.model is not session.model:
        run.event("fallback", first_choice=session.model.name, used=change.model.name, reason=why)
        session.model = change.model
    if change.max_output_tokens is not None:
        session.guarded.tighten({"max_output_tokens": change.max_output_tokens}, by=_BY, reason=why, flag_id=_BY)
    if change.instructions is not None and change.instructions != session.instructions:
        run.event("override", by=_BY, what="instructions", reason=why)
        session.instructions = change.instructions


def _words(near: Near) -> str:
    used, limit = shown(near.code, near.used), shown(near.code, near.limit)
    return f"{near.code.value} of {near.scope}: {used:g} of {limit:g} used"
