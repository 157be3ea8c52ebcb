"""Choices that can be judged afterwards, their review, and what was read from or written to memory."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from spanhouse.audit.base import AuditEvent


class Decision(AuditEvent, event="decision"):
    """The agent chose among options."""

    decision_id: str | None = None
    option: Any = None
    options: list[Any] | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    reason: str | None = None


class Review(AuditEvent, event="review"):
    """A decision or call was put on the review list, or somebody looked at it: right, wrong, taken back."""

    decision_id: str | None = None
    review_id: str | None = None
    state: Literal["open", "undone", "kept"] | None = None
    tool: str | None = None
    args_hash: str | None = None
    call_id: str | None = None
    action: str | None = None
    reversible: str | None = None
    undo: bool | None = None
    until: str | None = None
    correct: bool | None = None
    by: str | None = None
    reason: str | None = None


class _Memory(AuditEvent):
    store: str | None = None
    key: str | None = None
    items: int | None = None


class MemoryRead(_Memory, event="memory.read"):
    """Something was read from the agent's memory."""


class MemoryWrite(_Memory, event="memory.write"):
    """Something was written to the agent's memory."""

    ttl_seconds: float | None = None
