"""A run's own life: start, end, state, plan, checkpoint and resume."""

from __future__ import annotations

from spanhouse.audit.base import AuditEvent
from spanhouse.stop_reasons import Outcome


class RunStart(AuditEvent, event="run.start"):
    """A run began."""

    task: str | None = None
    task_type: str | None = None
    variant: str | None = None
    user_id: str | None = None
    session_id: str | None = None


class RunEnd(AuditEvent, event="run.end"):
    """A run ended, with its one stop reason."""

    stop_reason: str
    outcome: Outcome = Outcome.UNKNOWN
    escalated: bool = False
    duration_ms: float | None = None
    spans_expected: int | None = None


class State(AuditEvent, event="state"):
    """The run went from one state to another, or tried to."""

    before: str
    after: str
    legal: bool = True
    reason: str | None = None


class Plan(AuditEvent, event="plan"):
    """The agent made or changed its plan."""

    steps: list[str] | None = None
    revision: int | None = None
    reason: str | None = None


class Checkpoint(AuditEvent, event="checkpoint"):
    """The run's state was saved."""

    checkpoint_id: str | None = None
    size_bytes: int | None = None


class Resume(AuditEvent, event="resume"):
    """A run went on from a checkpoint."""

    checkpoint_id: str | None = None
    resumes: int = 1
    reason: str | None = None
