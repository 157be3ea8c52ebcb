"""How an exception is put on a span: status, type, error class and the exception event."""

from __future__ import annotations

from typing import Final

from opentelemetry.trace import Span, Status, StatusCode

from spanhouse import attributes as keys
from spanhouse.classification import classify
from spanhouse.content import sendable
from spanhouse.errors import ErrorType
from spanhouse.redaction import redact

_LONGEST: Final = 20_000
"""Characters of a message that are recorded."""


def record_exception(span: Span, error: BaseException) -> ErrorType:
    """Mark the span as failed by this exception; return the error type. The message is redacted."""
    error_type, message = classify(error), message_of(error)
    record_failure(span, type(error).__name__, message, error_type)
    span.add_event("exception", {"exception.type": _full_name(error), "exception.message": _fit(message)})
    return error_type


def record_failure(span: Span, name: str, message: str, error_type: ErrorType) -> None:
    """Mark the span as failed by something that is no exception. The message is redacted."""
    span.set_attribute(keys.ERROR_TYPE, name)
    span.set_attribute(keys.ERROR_CLASS, error_type.value)
    span.set_status(Status(StatusCode.ERROR, _fit(message)))


def message_of(error: BaseException) -> str:
    """Return an exception's message, or what stands for one that cannot even say what it is."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the exception is the agent's, and recording it must not end the agent
        return f"<{type(error).__name__} without a message>"


def _fit(message: str) -> str:
    return redact(sendable(message[:_LONGEST]))[0]


def _full_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
