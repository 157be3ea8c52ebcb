"""What operators change about a run under way: its limits, and what becomes of its next call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from spanhouse.canonical import args_hash
from spanhouse.control import Flag
from spanhouse.errors import ConfigurationError, RunStopped
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.control import STALE
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.judging import record_denied
from spanhouse_runtime.policies.granted import ACTION as GRANT
from spanhouse_runtime.policies.granted import grants_of
from spanhouse_runtime.policy import Decision, Grant, Verdict

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

_NEXT: Final = frozenset({"edit_next", "refuse_next"})


class Steering:
    """The flags a run has followed: a tightening for as long as it is in force, all else once. Safe for threads.

    Attributes:
        grants: what operators let the run do for a time.
    """

    def __init__(self) -> None:
        self.grants: tuple[Grant, ...] = ()
        self._tightened: dict[str, Flag] = {}
        self._done: set[str] = set()
        self._next: list[Flag] = []
        self._lock = threading.Lock()

    def follow(self, guarded: GuardedRun, flags: Sequence[Flag]) -> None:
        """Change the run's limits as the flags in force say, and keep those about its next call for that call.

        Raises:
            RunStopped: a flag says what cannot be followed; going on as before would not be what the operator wants.
        """
        if not flags and not self._tightened and not self._next and not self.grants:
            return
        self.grants = grants_of(flag for flag in flags if flag.action == GRANT)
        with self._lock:
            tightened = {flag.id: flag for flag in flags if flag.action == "tighten" and flag.scope != "tool"}
            raised = [flag for flag in flags if flag.action == "raise" and flag.id not in self._done]
            new = [flag for name, flag in tightened.items() if name not in self._tightened]
            lifted = [flag for name, flag in self._tightened.items() if name not in tightened]
            self._tightened = tightened
            self._done.update(flag.id for flag in raised)
            self._next = [flag for flag in flags if flag.action in _NEXT and flag.id not in self._done]
        for flag in lifted:
            guarded.loosen(by=flag.by or "an operator", reason="the flag is no longer in force", flag_id=flag.id)
        for flag in [*raised, *new]:
            change = guarded.tighten if flag.action == "tighten" else guarded.loosen
            try:
                change(flag.limits, by=flag.by or "an operator", reason=flag.reason, flag_id=flag.id)
            except ConfigurationError as problem:
                raise RunStopped(STALE, f"flag {flag.id} cannot be followed: {problem}") from problem

    def next_call(self, guarded: GuardedRun, ask: ToolAsk) -> ToolAsk:
        """Return the call to judge: what an operator made of it, else as it is.

        Raises:
            CallRefused: an operator refused it; the model is told why, and the run goes on.
        """
        if not self._next:
            return ask
        with self._lock:
            # Refusing comes before changing: who sets both wants the call not made.
            meant = sorted(
                (flag for flag in self._next if flag.tool in {"", ask.tool}),
                key=lambda flag: flag.action != "refuse_next",
            )
            if not meant:
                return ask
            flag = meant[0]
            self._done.add(flag.id)
            self._next.remove(flag)
        by = flag.by or "an operator"
        said: dict[str, Any] = {"by": by, "reason": flag.reason or None, "flag_id": flag.id, "tool": ask.tool}
        if flag.action == "refuse_next":
            guarded.run.event("override", what="refused", before=args_hash(ask.arguments), **said)
            record_denied(guarded, ask, Verdict(Decision.DENY, f"flag {flag.id}", flag.reason))
            why = f"{ask.tool} was refused by {by}" + (f": {flag.reason}" if flag.reason else "")
            raise CallRefused(StopCode.APPROVAL_DENIED.value, why, guarded.notes)
        changed = replace(ask, arguments=dict(flag.arguments or {}))
        digests = {"before": args_hash(ask.arguments), "after": args_hash(changed.arguments)}
        guarded.run.event("override", what="arguments", **digests, **said)
        return changed
