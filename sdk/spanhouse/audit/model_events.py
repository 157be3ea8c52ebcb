"""Model calls and what surrounds them: fallback to another model, cache hits, compaction of the context."""

from __future__ import annotations

from typing import Literal

from spanhouse.audit.base import AuditEvent
from spanhouse.errors import ErrorType


class ModelCall(AuditEvent, event="model.call"):
    """A model was called; content is on the span, not here."""

    model: str
    provider: str | None = None
    status: Literal["ok", "error", "timeout", "denied", "replayed"] = "ok"
    duration_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reasons: list[str] | None = None
    error_type: ErrorType | None = None


class Fallback(AuditEvent, event="fallback"):
    """A call went to another model or tool than the first choice."""

    first_choice: str
    used: str
    reason: str | None = None


class CacheHit(AuditEvent, event="cache.hit"):
    """An answer came from a cache instead of a call."""

    cache: str
    key: str | None = None
    similarity: float | None = None


class Compaction(AuditEvent, event="compaction"):
    """The context was shortened."""

    tokens_before: int | None = None
    tokens_after: int | None = None
    dropped_messages: int | None = None
    method: str | None = None
