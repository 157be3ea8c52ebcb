"""OTLP bodies made by hand with the stock messages, and the rows that normalising makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord

TRACE_ID = bytes(range(1, 17))
START_NS = 1_780_000_000_000_000_000
RECEIVED_US = 1_780_000_100_000_000

Attributes = Mapping[str, Any] | Iterable[tuple[str, Any]]


def value(plain: Any) -> AnyValue:  # noqa: PLR0911 - one return a kind of value
    """Return the OTLP value of a Python value."""
    if plain is None:
        return AnyValue()
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, bytes):
        return AnyValue(bytes_value=plain)
    if isinstance(plain, str):
        return AnyValue(string_value=plain)
    made = AnyValue()
    if isinstance(plain, dict):
        made.kvlist_value.values.extend(attributes(plain))
        made.kvlist_value.SetInParent()
    else:
        made.array_value.values.extend(value(item) for item in plain)
        made.array_value.SetInParent()
    return made


def attributes(given: Attributes) -> list[KeyValue]:
    """Return OTLP attributes; pairs may repeat a key."""
    pairs = given.items() if isinstance(given, Mapping) else given
    return [KeyValue(key=key, value=value(plain)) for key, plain in pairs]


def span(given: Attributes = (), *, number: int = 1, parent: int = 0, name: str = "work", **fields: Any) -> Span:
    """Return one span of the trace `TRACE_ID`, 1 s long unless told otherwise."""
    times = {"start_time_unix_nano": START_NS, "end_time_unix_nano": START_NS + 1_000_000_000}
    made = Span(trace_id=TRACE_ID, span_id=number.to_bytes(8), name=name, **(times | fields))
    if parent:
        made.parent_span_id = parent.to_bytes(8)
    made.attributes.extend(attributes(given))
    return made


def event(name: str, given: Attributes = ()) -> Span.Event:
    """Return one span event."""
    return Span.Event(name=name, time_unix_nano=START_NS, attributes=attributes(given))


def traces(*spans: Span, scope: str = "my.app", resource: Attributes = ()) -> RawRecord:
    """Return the body with these spans under one resource and scope."""
    request = ExportTraceServiceRequest()
    under = request.resource_spans.add()
    under.resource.attributes.extend(attributes(resource))
    scope_spans = under.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.spans.extend(spans)
    return RawRecord("traces", request.SerializeToString(), RECEIVED_US)


def logs(*records: LogRecord, scope: str = "my.app", resource: Attributes = ()) -> RawRecord:
    """Return the body with these log records under one resource and scope."""
    request = ExportLogsServiceRequest()
    under = request.resource_logs.add()
    under.resource.attributes.extend(attributes(resource))
    scope_logs = under.scope_logs.add()
    scope_logs.scope.name = scope
    scope_logs.log_records.extend(records)
    return RawRecord("logs", request.SerializeToString(), RECEIVED_US)


def rows(*records: RawRecord, table: str = "spans") -> list[dict[str, Any]]:
    """Return the rows a fresh normaliser makes of the bodies."""
    found: list[dict[str, Any]] = Normaliser()(records).tables[table].to_pylist()
    return found


def row(given: Attributes = (), *, scope: str = "my.app", resource: Attributes = (), **fields: Any) -> dict[str, Any]:
    """Return the row of one span with these attributes."""
    (only,) = rows(traces(span(given, **fields), scope=scope, resource=resource))
    return only
