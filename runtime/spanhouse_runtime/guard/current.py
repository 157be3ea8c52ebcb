"""Which guarded run the calling code belongs to; tasks and copied contexts inherit it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from spanhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

CURRENT: ContextVar[GuardedRun | None] = ContextVar("spanhouse-guarded-run", default=None)


def current_guarded_run() -> GuardedRun | None:
    """Return the guarded run the caller is inside of, or None."""
    return CURRENT.get()


def needed_guarded_run(what: str) -> GuardedRun:
    """Return the guarded run the caller is inside of.

    Raises:
        ConfigurationError: there is none. What is guarded is never called unguarded.
    """
    guarded = CURRENT.get()
    if guarded is None:
        msg = f"{what} is guarded and was called outside a guarded run: call it inside 'with guard.run(...)'"
        raise ConfigurationError(msg)
    return guarded
