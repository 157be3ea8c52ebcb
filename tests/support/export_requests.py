"""Export requests as a stock OpenTelemetry sender makes them."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START_NS = 1_760_000_000_000_000_000


def trace_id(number: int) -> bytes:
    """Return the id of the trace with this number."""
    return (number + 1).to_bytes(16, "big")


def span_id(trace: int, number: int) -> bytes:
    """Return the id of a trace's span with this number."""
    return (trace * 1_000 + number + 1).to_bytes(8, "big")


def traces(trace: int, spans: int = 1, *, attributes: dict[str, str] | None = None) -> ExportTraceServiceRequest:
    """Return one trace of an agent span and, below it, model calls."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        span = scope.spans.add(
            trace_id=trace_id(trace),
            span_id=span_id(trace, number),
            parent_span_id=span_id(trace, 0) if number else b"",
            name="chat m" if number else "invoke_agent a",
            start_time_unix_nano=START_NS + number,
            end_time_unix_nano=START_NS + number + 1_000_000,
        )
        operation = "chat" if number else "invoke_agent"
        for key, value in {"gen_ai.operation.name": operation, **(attributes or {})}.items():
            span.attributes.add(key=key).value.string_value = value
    return request


def logs(bodies: Sequence[str]) -> ExportLogsServiceRequest:
    """Return one log record a text."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number, text in enumerate(bodies):
        scope.log_records.add(time_unix_nano=START_NS + number).body.string_value = text
    return request
