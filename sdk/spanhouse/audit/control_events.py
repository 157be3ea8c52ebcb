"""What stopped or steered a run from outside its own plan: loops found, kills, disabled tools, escalation."""

from __future__ import annotations

from spanhouse.audit.base import AuditEvent


class Loop(AuditEvent, event="loop"):
    """The guard saw the same call, or a cycle of calls, repeat."""

    tool: str | None = None
    args_hash: str | None = None
    repeats: int
    cycle_length: int = 1
    action: str | None = None


class Escalation(AuditEvent, event="escalation"):
    """The run was handed to a human."""

    reason: str | None = None
    to: str | None = None


class Kill(AuditEvent, event="kill"):
    """An operator stopped the run."""

    by: str | None = None
    scope: str | None = None
    target: str | None = None
    reason: str | None = None
    flag_id: str | None = None


class Disabled(AuditEvent, event="disabled"):
    """A call or run was refused because its tool, agent, user or tenant is switched off."""

    scope: str
    target: str
    tool: str | None = None
    by: str | None = None
    reason: str | None = None
    flag_id: str | None = None
