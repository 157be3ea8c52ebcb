"""What stopped or steered a run from outside its own plan: loops found, kills, disabled tools, escalation."""

from __future__ import annotations

from typing import Any

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


class _KeyChange(AuditEvent):
    """What was done to an API key, and by whom. Stands in the trail of each tenant the key is for."""

    key: str
    by: str
    tenants: list[str]
    name: str | None = None
    role: str | None = None
    environment: str | None = None
    expires_at: str | None = None


class KeyCreate(_KeyChange, event="key.create"):
    """A key was made."""


class KeyRevoke(_KeyChange, event="key.revoke"):
    """A key was ended."""


class KeyRotate(_KeyChange, event="key.rotate"):
    """A key was replaced by another, and ends when the overlap is over."""

    replaced_by: str


class Disabled(AuditEvent, event="disabled"):
    """A call or run was refused because its tool, agent, user or tenant is switched off."""

    scope: str
    target: str
    tool: str | None = None
    by: str | None = None
    reason: str | None = None
    flag_id: str | None = None


class Deletion(AuditEvent, event="deletion"):
    """Records were removed, by retention or because somebody asked for it; says how many, never what they held."""

    deletion: str
    kind: str
    by: str
    tables: list[dict[str, Any]]


class AuditKey(AuditEvent, event="audit.key"):
    """Checkpoints are signed with another key from now on; the one before vouches for it where it was there."""

    key_id: str
    public_key: str
    certified_by: str | None = None
    by: str | None = None
