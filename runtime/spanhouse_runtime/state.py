"""What a run is doing right now, and which changes between those states are legal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from spanhouse.errors import SpanhouseError


class RunState(StrEnum):
    """The states of a run; ``completed`` and ``failed`` are final."""

    IDLE = "idle"
    THINKING = "thinking"
    """A model call is under way."""
    EXECUTING = "executing"
    """A tool call is under way."""
    WAITING = "waiting"
    """The run is paused by an operator, or waits for a person."""
    COMPLETED = "completed"
    FAILED = "failed"


_ENDS: Final = frozenset({RunState.COMPLETED, RunState.FAILED})
_WORKING: Final = frozenset({RunState.THINKING, RunState.EXECUTING, RunState.WAITING})

TRANSITIONS: Final[Mapping[RunState, frozenset[RunState]]] = MappingProxyType(
    {
        # A run that is refused before its first call has failed; it cannot have completed anything. Another framework's
        # run may call a tool before any model.
        RunState.IDLE: _WORKING | {RunState.FAILED},
        **{state: (_WORKING - {state}) | _ENDS for state in sorted(_WORKING)},
        RunState.COMPLETED: frozenset(),
        RunState.FAILED: frozenset(),
    }
)
"""The legal changes: state -> the states that may follow it."""


class IllegalTransition(SpanhouseError):  # noqa: N818 - named as the state-machine literature does
    """A run was moved to a state that may not follow the one it is in."""

    def __init__(self, source: RunState, target: RunState) -> None:
        allowed = ", ".join(sorted(TRANSITIONS[source])) or "nothing, it is final"
        super().__init__(f"a run cannot go from {source} to {target}; {source} may be followed by: {allowed}")
        self.source = source
        self.target = target


class StateMachine:
    """The state of one run.

    Args:
        on_change: told ``(source, target, legal, reason)`` of every change made and of every illegal one refused.
    """

    def __init__(self, on_change: Callable[[RunState, RunState, bool, str], None]) -> None:
        self._state = RunState.IDLE
        self._on_change = on_change

    @property
    def state(self) -> RunState:
        """The state the run is in."""
        return self._state

    def to(self, target: RunState, reason: str = "") -> None:
        """Change the state; staying in a working state is no change and is not told.

        Raises:
            IllegalTransition: the target may not follow the present state.
        """
        source = self._state
        if target is source and source in _WORKING:
            return
        if target not in TRANSITIONS[source]:
            self._on_change(source, target, False, reason)
            raise IllegalTransition(source, target)
        self._state = target
        self._on_change(source, target, True, reason)
