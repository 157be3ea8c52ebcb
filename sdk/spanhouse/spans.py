"""What a recorded call inside a run has in common: its span as the current one, its content, its time."""

from __future__ import annotations

import time
from contextvars import Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from spanhouse.active import active
from spanhouse.content import Content
from spanhouse.context import current_run, leave
from spanhouse.notices import warn_once


class CallSpan:
    """A started span that is current until ``end``; without ``init`` it records nothing and does no harm.

    Args:
        name: the span's name.
        kind: CLIENT for calls that leave the process.
        attributes: those known at the start; None values are left out.
    """

    def __init__(self, name: str, kind: SpanKind, attributes: dict[str, Any]) -> None:
        telemetry = active()
        if telemetry is None:
            warn_once("no-init", "spanhouse.init() has not been called: runs and calls are not recorded")
        tracer = trace.NoOpTracer() if telemetry is None else telemetry.tracer
        known = {key: value for key, value in attributes.items() if value is not None}
        self.span: Span = tracer.start_span(name, kind=kind, attributes=known)
        self.content = Content(self.span, captured=telemetry is not None and telemetry.settings.capture_content)
        self._token: Token[Context] = otel_context.attach(trace.set_span_in_context(self.span))
        self._started = time.perf_counter()
        self.run = current_run()

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def set(self, attributes: dict[str, Any]) -> None:
        """Put attributes on the span; None values are left out."""
        self.span.set_attributes({key: value for key, value in attributes.items() if value is not None})

    def end(self) -> None:
        """End the span and make the one before it current again."""
        leave(self._token)
        self.span.end()
