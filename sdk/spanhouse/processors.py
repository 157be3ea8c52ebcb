"""What hangs on the OpenTelemetry providers: mark spans with their run, and hand finished records to delivery.

The processors keep no state of their own and ask for the running telemetry each time, since a provider that was
joined keeps its processors for good while ``init`` and ``shutdown`` come and go.
"""

from __future__ import annotations

from types import MappingProxyType

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from spanhouse.active import active
from spanhouse.context import current_run

EXIT_DEADLINE = 5.0
"""Seconds that the end of the process waits for the last records."""
_RECORD_OVERHEAD = 600
"""Bytes a span or log record takes besides its text, roughly."""


class SpanHandOver(SpanProcessor):
    """Marks every span started inside a run with that run, and queues every finished span."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Mark the span, where its parent context is inside a run."""
        run = current_run(parent_context)
        if run is not None and active() is not None:
            run.mark(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span, where it is sampled."""
        telemetry = active()
        context = span.context
        if telemetry is not None and context is not None and context.trace_flags.sampled:
            telemetry.spans.put(span)

    def shutdown(self) -> None:
        """Send what is queued: the provider is going away, other providers may go on."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; True where all was acknowledged."""
        telemetry = active()
        return telemetry is None or telemetry.spans.flush(min(timeout_millis / 1000, EXIT_DEADLINE))


class LogHandOver(LogRecordProcessor):
    """Queues every log record, but for those that sending telemetry itself makes."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record."""
        telemetry = active()
        if telemetry is None or otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        assert log_record.resource is not None
        telemetry.logs.put(
            ReadableLogRecord(
                log_record=log_record.log_record,
                resource=log_record.resource,
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """Send what is queued: the provider is going away, other providers may go on."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; True where all was acknowledged."""
        telemetry = active()
        return telemetry is None or telemetry.logs.flush(min(timeout_millis / 1000, EXIT_DEADLINE))


def pending_record(span: Span, marks: dict[str, str | bool]) -> ReadableSpan:
    """Return the record of a span that has only started: same ids, no duration, the attributes known so far."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), **marks},
        kind=span.kind,
        start_time=span.start_time,
        end_time=span.start_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def span_size(span: ReadableSpan) -> int:
    """Return roughly how many bytes a span takes while it waits."""
    found = span.attributes
    # A copy is one look, the attributes themselves take a lock for each.
    said = found.copy() if isinstance(found, MappingProxyType) else (found or {})
    text = sum([len(value) for value in said.values() if isinstance(value, str)])
    return _RECORD_OVERHEAD + text


def log_size(record: ReadableLogRecord) -> int:
    """Return roughly how many bytes a log record takes while it waits."""
    body = record.log_record.body
    return _RECORD_OVERHEAD + (len(body) if isinstance(body, str) else 0)
