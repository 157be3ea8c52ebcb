"""Spans of a recorded run: ids that follow from the run's id, so that importing a file twice changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

SCOPE = "spanhouse.import"


@dataclass
class SpanDraft:
    """One span before it is encoded; ``key`` makes its id within the run."""

    key: str
    name: str
    start: int
    end: int
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    """Status message of a failed span; None where it did not fail."""


def trace_id(run_id: str) -> bytes:
    """Return the 16 bytes of a recorded run's trace id."""
    return hashlib.sha256(f"spanhouse-import-trace:{run_id}".encode()).digest()[:16]


def span_id(run_id: str, key: str) -> bytes:
    """Return the 8 bytes of the id of a recorded run's span."""
    return hashlib.sha256(f"spanhouse-import-span:{run_id}:{key}".encode()).digest()[:8]


def encode(run_id: str, root: SpanDraft, children: Sequence[SpanDraft], shared: Mapping[str, Any]) -> list[Span]:
    """Return a run's OTLP spans: the root and its children, each with the attributes they share.

    Args:
        run_id: the recorded run's id; all ids derive from it.
        root: the run span.
        children: model and tool spans, direct children of the root.
        shared: attributes of every span, such as request id, tenant and agent.
    """
    parent = span_id(run_id, root.key)
    spans = [_encode(run_id, root, b"", shared)]
    spans += [_encode(run_id, child, parent, shared) for child in children]
    return spans


def request_of(spans: Sequence[Span], resource: Mapping[str, Any]) -> ExportTraceServiceRequest:
    """Return one export request that carries spans of one resource."""
    scope_spans = ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=spans)
    resource_spans = ResourceSpans(resource=Resource(attributes=attributes(resource)), scope_spans=[scope_spans])
    return ExportTraceServiceRequest(resource_spans=[resource_spans])


def json_text(value: object) -> str:
    """Return compact JSON text, as GenAI attributes carry messages and arguments."""
    return orjson.dumps(value).decode()


def _encode(run_id: str, draft: SpanDraft, parent: bytes, shared: Mapping[str, Any]) -> Span:
    status = Status(code=Status.STATUS_CODE_ERROR, message=draft.error) if draft.error is not None else Status()
    return Span(
        trace_id=trace_id(run_id),
        span_id=span_id(run_id, draft.key),
        parent_span_id=parent,
        name=draft.name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=draft.start,
        end_time_unix_nano=max(draft.start, draft.end),
        attributes=attributes({**shared, **draft.attributes}),
        status=status,
    )


def attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    """Return OTLP attributes of a mapping; what is None or empty is left out."""
    known = ((key, value) for key, value in values.items() if value is not None and value != "")
    return [KeyValue(key=key, value=any_value(value)) for key, value in known]


def any_value(value: Any) -> AnyValue:  # noqa: ANN401 - any attribute value
    """Return an OTLP value; what OTLP has no kind for becomes JSON text."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[any_value(v) for v in value]))
    return AnyValue(string_value=value if isinstance(value, str) else json_text(value))
