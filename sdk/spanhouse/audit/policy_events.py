"""Policy decisions, approvals, and changes by people: overrides and configuration."""

from __future__ import annotations

from typing import Literal

from spanhouse.audit.base import AuditEvent


class PolicyDecision(AuditEvent, event="policy.decision"):
    """A policy was asked about a call and answered."""

    tool: str
    decision: Literal["allow", "deny", "ask"]
    args_hash: str | None = None
    rule: str | None = None
    policy_version: str | None = None
    reason: str | None = None


class _Approval(AuditEvent):
    approval_id: str | None = None
    tool: str
    args_hash: str | None = None
    by: str | None = None
    reason: str | None = None
    duration_ms: float | None = None


class ApprovalAsked(_Approval, event="approval.asked"):
    """A person was asked to approve a call."""

    expires_at: str | None = None


class ApprovalGiven(_Approval, event="approval.given"):
    """A person approved a call."""


class ApprovalDenied(_Approval, event="approval.denied"):
    """A person refused a call."""


class ApprovalTimeout(_Approval, event="approval.timeout"):
    """Nobody answered in time."""


class Override(AuditEvent, event="override"):
    """A person set a rule aside."""

    by: str
    what: str
    reason: str | None = None


class Config(AuditEvent, event="config"):
    """The configuration a run works under, by fingerprint, or a change of it."""

    fingerprint: str | None = None
    before: str | None = None
    what: str | None = None
    changed: dict[str, object] | None = None


class Prompt(AuditEvent, event="prompt"):
    """The prompt a run works with, by name, version and fingerprint; its text is on the span, not here."""

    name: str | None = None
    version: str | None = None
    fingerprint: str | None = None
