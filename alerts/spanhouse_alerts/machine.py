"""The life of one alert as a pure function: state and observation in, state and transitions out.

    inactive -> pending -> firing -> recovering -> inactive

An observation that is missing or failed never changes the phase: an outage of the data is no recovery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Phase(StrEnum):
    """Where an alert stands. ``recovering`` still counts as firing to whoever was told."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


class Change(StrEnum):
    """A transition. ``firing`` and ``resolved`` are told to receivers, always in turn; the others are history alone."""

    PENDING = "pending"
    CLEARED = "cleared"
    FIRING = "firing"
    RECOVERING = "recovering"
    RELAPSED = "relapsed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things must last.

    Attributes:
        hold: the condition must hold this long before the alert fires (``for``).
        keep: it must stay away this long before the alert ends (``keep_firing_for``).
        forget: without data for this long, the alert ends.
        step: longest time between two evaluations that counts towards ``hold``; more is a gap nobody watched.
        restart: after a gap longer than this, a pending alert starts anew.
        latched: once it fires, only the end of its window ends it.
    """

    hold: timedelta = timedelta(0)
    keep: timedelta = timedelta(0)
    forget: timedelta = timedelta(hours=24)
    step: timedelta = timedelta(minutes=1)
    restart: timedelta = timedelta(hours=1)
    latched: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The metric was read.

    Attributes:
        value: what it showed.
        threshold: the line it is held against, in the value's unit.
        breached: it is beyond the line.
        recovered: it is on the good side of the recovery line; between the two lines both are false.
        ends_at: when the window it belongs to ends; None for rolling windows.
    """

    value: float
    threshold: float
    breached: bool
    recovered: bool
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """The metric was read and has no data, or too little, for this alert."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The metric could not be read."""

    error: str


Observation = Seen | Missing | Failed


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of one alert between two evaluations.

    Attributes:
        phase: where it stands.
        since: when this phase began, moved on by stretches that do not count.
        starts_at: when it last began to fire; None where it never did.
        evaluated_at: the last evaluation, whatever came of it.
        seen_at: the last evaluation with data.
        value: the last value seen.
        threshold: the line that value was held against.
        ends_at: when the alert's window ends.
        no_data: the last evaluation had no data.
        error: why the last evaluation failed; empty where it did not.
    """

    phase: Phase = Phase.INACTIVE
    since: datetime | None = None
    starts_at: datetime | None = None
    evaluated_at: datetime | None = None
    seen_at: datetime | None = None
    value: float | None = None
    threshold: float | None = None
    ends_at: datetime | None = None
    no_data: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an alert: what, when, and why in a few words."""

    change: Change
    at: datetime
    reason: str


Step = tuple[State, tuple[Transition, ...]]


def step(state: State, observation: Observation, now: datetime, timing: Timing) -> Step:
    """Return the alert's next state and the transitions on the way, oldest first (none, or one)."""
    if state.ends_at is not None and now >= state.ends_at and state.phase is not Phase.INACTIVE:
        return end(state, now, "its window ended")
    if not isinstance(observation, Seen):
        return _unseen(state, observation, now, timing)
    return _seen(state, observation, now, timing)


def _seen(state: State, observation: Seen, now: datetime, timing: Timing) -> Step:
    seen = replace(
        state,
        value=observation.value,
        threshold=observation.threshold,
        ends_at=observation.ends_at,
        evaluated_at=now,
        seen_at=now,
        no_data=False,
        error="",
    )
    if state.phase is Phase.INACTIVE:
        return _from_inactive(seen, observation, now, timing)
    if state.phase is Phase.PENDING:
        return _from_pending(_without_gap(seen, state, now, timing), state, observation, now, timing)
    if timing.latched:
        return _latched(seen, state, observation, now)
    if state.phase is Phase.FIRING:
        return _from_firing(seen, observation, now, timing)
    return _from_recovering(_without_gap(seen, state, now, timing), observation, now, timing)


def end(state: State, now: datetime, reason: str) -> Step:
    """Return the alert at rest, with the transition that says so to whoever knows of it."""
    rest = replace(state, phase=Phase.INACTIVE, since=now, evaluated_at=now)
    match state.phase:
        case Phase.INACTIVE:
            return rest, ()
        case Phase.PENDING:
            return rest, (Transition(Change.CLEARED, now, reason),)
        case Phase.FIRING | Phase.RECOVERING:
            return rest, (Transition(Change.RESOLVED, now, reason),)


def _unseen(state: State, observation: Missing | Failed, now: datetime, timing: Timing) -> Step:
    flagged = replace(
        state,
        evaluated_at=now,
        no_data=isinstance(observation, Missing),
        error=observation.error if isinstance(observation, Failed) else "",
    )
    if state.phase is Phase.INACTIVE:
        return flagged, ()
    silent = isinstance(observation, Missing) and state.seen_at is not None and now - state.seen_at >= timing.forget
    if silent and not timing.latched:
        return end(flagged, now, "no data for too long")
    # Time nobody could see counts neither towards firing nor towards recovery.
    if state.phase is not Phase.FIRING and state.since is not None and state.evaluated_at is not None:
        flagged = replace(flagged, since=state.since + (now - state.evaluated_at))
    return flagged, ()


def _without_gap(seen: State, before: State, now: datetime, timing: Timing) -> State:
    if before.evaluated_at is None or seen.since is None:
        return seen
    gap = now - before.evaluated_at
    return replace(seen, since=seen.since + max(gap - timing.step, timedelta(0)))


def _from_inactive(seen: State, observation: Seen, now: datetime, timing: Timing) -> Step:
    if not observation.breached:
        return seen, ()
    if timing.hold > timedelta(0):
        return replace(seen, phase=Phase.PENDING, since=now), (Transition(Change.PENDING, now, "the line was crossed"),)
    return _fire(seen, now, "the line was crossed")


def _from_pending(seen: State, before: State, observation: Seen, now: datetime, timing: Timing) -> Step:
    if not observation.breached:
        return end(seen, now, "back within the line")
    if before.evaluated_at is not None and now - before.evaluated_at > timing.restart:
        return replace(seen, since=now), ()
    if seen.since is not None and now - seen.since >= timing.hold:
        return _fire(seen, now, "the line stayed crossed")
    return seen, ()


def _fire(seen: State, now: datetime, reason: str) -> Step:
    return replace(seen, phase=Phase.FIRING, since=now, starts_at=now), (Transition(Change.FIRING, now, reason),)


def _latched(seen: State, before: State, observation: Seen, now: datetime) -> Step:
    # Spend only grows, so falling back is a correction of the data; only a moved line asks the question anew.
    if before.threshold != observation.threshold and not observation.breached:
        return end(seen, now, "the rule's line was moved")
    return seen, ()


def _from_firing(seen: State, observation: Seen, now: datetime, timing: Timing) -> Step:
    if observation.breached or not observation.recovered:
        return seen, ()
    if timing.keep > timedelta(0):
        back = (Transition(Change.RECOVERING, now, "back beyond the recovery line"),)
        return replace(seen, phase=Phase.RECOVERING, since=now), back
    return end(seen, now, "back beyond the recovery line")


def _from_recovering(seen: State, observation: Seen, now: datetime, timing: Timing) -> Step:
    if observation.breached or not observation.recovered:
        worse = (Transition(Change.RELAPSED, now, "worse again before it had recovered"),)
        return replace(seen, phase=Phase.FIRING, since=now), worse
    if seen.since is not None and now - seen.since >= timing.keep:
        return end(seen, now, "recovered and stayed so")
    return seen, ()
