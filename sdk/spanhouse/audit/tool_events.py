"""Tool calls, their retries and breakers."""

from __future__ import annotations

from typing import Literal

from spanhouse.audit.base import AuditEvent
from spanhouse.errors import ErrorType


class ToolCall(AuditEvent, event="tool.call"):
    """A tool was called, or its call was denied or answered from an earlier one; content is on the span."""

    tool: str
    args_hash: str
    status: Literal["ok", "error", "timeout", "denied", "replayed"] = "ok"
    decision: Literal["allow", "deny", "ask"] | None = None
    duration_ms: float | None = None
    call_id: str | None = None
    attempt: int | None = None
    error_type: ErrorType | None = None
    cost_usd: float | None = None


class Retry(AuditEvent, event="retry"):
    """A failed call is about to be made again."""

    tool: str | None = None
    model: str | None = None
    attempt: int
    delay_ms: float | None = None
    error_type: ErrorType | None = None


class Breaker(AuditEvent, event="breaker"):
    """A circuit breaker changed its state."""

    tool: str
    before: Literal["closed", "open", "half_open"] | None = None
    after: Literal["closed", "open", "half_open"]
    reason: str | None = None
