"""Do a thing once: intent before, outcome after, and the recorded outcome instead of a second time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from spanhouse.canonical import canonical_json


def idempotency_key(scope: str, tool: str, arguments: Mapping[str, Any], explicit: str = "") -> str:
    """Return the key of a call: 32 lower-case hex digits.

    Args:
        scope: what the promise covers: a run id, or something longer-lived such as ``order:4711``.
        tool: the tool's name.
        arguments: the checked arguments; left out of the key where an explicit one is given.
        explicit: a key the tool picked itself, such as an order number.
    """
    identity: list[Any] = ["explicit", scope, tool, explicit] if explicit else ["arguments", scope, tool, arguments]
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]


class Prior(StrEnum):
    """What is known about a key when a call wants to begin."""

    NEW = "new"
    """Nobody began: the intent is now recorded as this caller's, who must run the call."""
    DONE = "done"
    """It was done; the result is recorded."""
    CONFLICT = "conflict"
    """The key was used with other arguments: neither the old result nor a new call would be right."""
    UNKNOWN = "unknown"
    """Somebody began and no outcome is recorded: it may have happened. Never repeat it blindly."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer to a call that wants to begin: what is known, and the recorded result (JSON text) of a done one."""

    prior: Prior
    result: str = ""


def judge(args_hash: str, recorded_hash: str, result: str | None) -> Begun:
    """Return what a record says to a call with the same key."""
    if args_hash != recorded_hash:
        return Begun(Prior.CONFLICT)
    return Begun(Prior.UNKNOWN) if result is None else Begun(Prior.DONE, result)


class IdempotencyStore(Protocol):
    """Remembers intents and outcomes. ``begin`` is atomic: of several callers at once, one gets NEW."""

    def begin(self, key: str, tool: str, args_hash: str) -> Begun:
        """Record the intent if the key is new, and return what was known before."""

    def finish(self, key: str, result: str) -> None:
        """Record the outcome of an intent."""

    def withdraw(self, key: str) -> None:
        """Forget an intent of which it is sure that nothing was done."""


class MemoryIdempotencyStore:
    """Intents and outcomes for the life of the process."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[str, str | None]] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, tool: str, args_hash: str) -> Begun:  # noqa: ARG002 - the name is for stores that people look into
        """Record the intent if the key is new, and return what was known before."""
        with self._lock:
            if key not in self._calls:
                self._calls[key] = (args_hash, None)
                return Begun(Prior.NEW)
            return judge(args_hash, *self._calls[key])

    def finish(self, key: str, result: str) -> None:
        """Record the outcome of an intent."""
        with self._lock:
            self._calls[key] = (self._calls[key][0], result)

    def withdraw(self, key: str) -> None:
        """Forget an intent of which it is sure that nothing was done."""
        with self._lock:
            if key in self._calls and self._calls[key][1] is None:
                del self._calls[key]
