"""OTLP requests read by messages of our own: the same bytes on the wire, but no record can spoil its neighbours.

The stock classes refuse a whole request for one string that is not UTF-8 or one attribute nested too deeply. Here every
``string`` of OTLP is ``bytes``, and every attribute and log body stays the raw bytes of its KeyValue or AnyValue until
somebody asks for it (`key_value`, `any_value`), which also makes it a good key for a memo.

Messages (fields as in OTLP, with OTLP's numbers; int, bool and float as there):

    TracesRequest   resource_spans[]: ResourceSpans
    ResourceSpans   resource: Resource, scope_spans[]: ScopeSpans, schema_url: bytes
    ScopeSpans      scope: Scope, spans[]: Span, schema_url: bytes
    Span            trace_id span_id trace_state parent_span_id name: bytes, flags, kind, start_time_unix_nano,
                    end_time_unix_nano, attributes[]: raw KeyValue, dropped_attributes_count, events[]: Event,
                    dropped_events_count, links[]: Link, dropped_links_count, status: Status
    Event           time_unix_nano, name: bytes, attributes[]: raw KeyValue, dropped_attributes_count
    Link            trace_id span_id trace_state: bytes, attributes[]: raw KeyValue, dropped_attributes_count, flags
    Status          message: bytes, code
    LogsRequest     resource_logs[]: ResourceLogs
    ResourceLogs    resource: Resource, scope_logs[]: ScopeLogs, schema_url: bytes
    ScopeLogs       scope: Scope, log_records[]: LogRecord, schema_url: bytes
    LogRecord       time_unix_nano, observed_time_unix_nano, severity_number, severity_text: bytes, body: raw AnyValue,
                    attributes[]: raw KeyValue, dropped_attributes_count, flags, trace_id span_id event_name: bytes
    MetricsRequest  resource_metrics[]: ResourceMetrics
    ResourceMetrics resource: Resource, scope_metrics[]: ScopeMetrics, schema_url: bytes
    ScopeMetrics    scope: Scope, metrics[]: Metric, schema_url: bytes
    Metric          name description unit: bytes, metadata[]: raw KeyValue, oneof value: gauge sum histogram
                    exponential_histogram summary: raw message of the class in `METRIC_DATA`
    Gauge, Sum, Histogram, ExponentialHistogram, Summary
                    data_points[]: NumberPoint, HistogramPoint, ExponentialPoint or SummaryPoint, all with attributes[]:
                    raw KeyValue, start_time_unix_nano, time_unix_nano, flags; aggregation_temporality, is_monotonic
    Exemplar        filtered_attributes[]: raw KeyValue, time_unix_nano, trace_id span_id: bytes, oneof value
    Resource        attributes[]: raw KeyValue, dropped_attributes_count
    Scope           name version: bytes, attributes[]: raw KeyValue, dropped_attributes_count
    KeyValue        key: bytes, value: raw AnyValue
    AnyValue        oneof value: string_value: bytes, bool_value, int_value, double_value, array_value: raw ArrayValue,
                    kvlist_value: raw KeyValueList, bytes_value: bytes
    ArrayValue      values[]: raw AnyValue
    KeyValueList    values[]: raw KeyValue

The message classes are typed ``Any``: they are built at import and a type checker cannot see their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from spanhouse_collector.records import Signal

__all__ = [
    "MAX_DEPTH",
    "METRIC_DATA",
    "REQUESTS",
    "TOO_DEEP",
    "AnyValue",
    "ArrayValue",
    "DecodeError",
    "KeyValue",
    "KeyValueList",
    "LogsRequest",
    "MetricsRequest",
    "TracesRequest",
    "Value",
    "any_value",
    "key_value",
    "parse",
    "text",
]

Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value] | None"

MAX_DEPTH: Final = 64
"""Levels of lists and maps that are read; what lies deeper is replaced by ``TOO_DEEP``."""
TOO_DEEP: Final = "<nested too deeply>"

# A field is "name number type", with [] for a repeated one, ? for one whose absence is not zero, | for the members of
# the message's oneof; a type that is no scalar is one of these messages.
_MESSAGES: Final = {
    "TracesRequest": "resource_spans[] 1 ResourceSpans",
    "ResourceSpans": "resource 1 Resource, scope_spans[] 2 ScopeSpans, schema_url 3 bytes",
    "ScopeSpans": "scope 1 Scope, spans[] 2 Span, schema_url 3 bytes",
    "Span": "trace_id 1 bytes, span_id 2 bytes, trace_state 3 bytes, parent_span_id 4 bytes, name 5 bytes,"
    " kind 6 int32, start_time_unix_nano 7 fixed64, end_time_unix_nano 8 fixed64, attributes[] 9 bytes,"
    " dropped_attributes_count 10 uint32, events[] 11 Event, dropped_events_count 12 uint32, links[] 13 Link,"
    " dropped_links_count 14 uint32, status 15 Status, flags 16 fixed32",
    "Event": "time_unix_nano 1 fixed64, name 2 bytes, attributes[] 3 bytes, dropped_attributes_count 4 uint32",
    "Link": "trace_id 1 bytes, span_id 2 bytes, trace_state 3 bytes, attributes[] 4 bytes,"
    " dropped_attributes_count 5 uint32, flags 6 fixed32",
    "Status": "message 2 bytes, code 3 int32",
    "LogsRequest": "resource_logs[] 1 ResourceLogs",
    "ResourceLogs": "resource 1 Resource, scope_logs[] 2 ScopeLogs, schema_url 3 bytes",
    "ScopeLogs": "scope 1 Scope, log_records[] 2 LogRecord, schema_url 3 bytes",
    "LogRecord": "time_unix_nano 1 fixed64, severity_number 2 int32, severity_text 3 bytes, body 5 bytes,"
    " attributes[] 6 bytes, dropped_attributes_count 7 uint32, flags 8 fixed32, trace_id 9 bytes, span_id 10 bytes,"
    " observed_time_unix_nano 11 fixed64, event_name 12 bytes",
    "MetricsRequest": "resource_metrics[] 1 ResourceMetrics",
    "ResourceMetrics": "resource 1 Resource, scope_metrics[] 2 ScopeMetrics, schema_url 3 bytes",
    "ScopeMetrics": "scope 1 Scope, metrics[] 2 Metric, schema_url 3 bytes",
    "Metric": "name 1 bytes, description 2 bytes, unit 3 bytes, gauge|5 bytes, sum|7 bytes, histogram|9 bytes,"
    " exponential_histogram|10 bytes, summary|11 bytes, metadata[] 12 bytes",
    "Gauge": "data_points[] 1 NumberPoint",
    "Sum": "data_points[] 1 NumberPoint, aggregation_temporality 2 int32, is_monotonic 3 bool",
    "Histogram": "data_points[] 1 HistogramPoint, aggregation_temporality 2 int32",
    "ExponentialHistogram": "data_points[] 1 ExponentialPoint, aggregation_temporality 2 int32",
    "Summary": "data_points[] 1 SummaryPoint",
    "NumberPoint": "attributes[] 7 bytes, start_time_unix_nano 2 fixed64, time_unix_nano 3 fixed64,"
    " as_double|4 double, as_int|6 sfixed64, exemplars[] 5 Exemplar, flags 8 uint32",
    "HistogramPoint": "attributes[] 9 bytes, start_time_unix_nano 2 fixed64, time_unix_nano 3 fixed64,"
    " count 4 fixed64, sum? 5 double, bucket_counts[] 6 fixed64, explicit_bounds[] 7 double, exemplars[] 8 Exemplar,"
    " flags 10 uint32, min? 11 double, max? 12 double",
    "ExponentialPoint": "attributes[] 1 bytes, start_time_unix_nano 2 fixed64, time_unix_nano 3 fixed64,"
    " count 4 fixed64, sum? 5 double, scale 6 sint32, zero_count 7 fixed64, positive 8 Buckets, negative 9 Buckets,"
    " flags 10 uint32, exemplars[] 11 Exemplar, min? 12 double, max? 13 double, zero_threshold 14 double",
    "Buckets": "offset 1 sint32, bucket_counts[] 2 uint64",
    "SummaryPoint": "attributes[] 7 bytes, start_time_unix_nano 2 fixed64, time_unix_nano 3 fixed64,"
    " count 4 fixed64, sum 5 double, quantile_values[] 6 Quantile, flags 8 uint32",
    "Quantile": "quantile 1 double, value 2 double",
    "Exemplar": "filtered_attributes[] 7 bytes, time_unix_nano 2 fixed64, as_double|3 double, as_int|6 sfixed64,"
    " span_id 4 bytes, trace_id 5 bytes",
    "Resource": "attributes[] 1 bytes, dropped_attributes_count 2 uint32",
    "Scope": "name 1 bytes, version 2 bytes, attributes[] 3 bytes, dropped_attributes_count 4 uint32",
    "KeyValue": "key 1 bytes, value 2 bytes",
    "AnyValue": "string_value|1 bytes, bool_value|2 bool, int_value|3 int64, double_value|4 double,"
    " array_value|5 bytes, kvlist_value|6 bytes, bytes_value|7 bytes",
    "ArrayValue": "values[] 1 bytes",
    "KeyValueList": "values[] 1 bytes",
}

_PACKAGE: Final = "spanhouse.otlp"


def _file() -> descriptor_pb2.FileDescriptorProto:
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="spanhouse/otlp.proto", package=_PACKAGE, syntax="proto3")
    for message_name, spec in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for part in spec.split(","):
            # "|" marks the members of the one oneof, whose presence tells an empty string from no value.
            name, number, kind = part.replace("|", "| ").split()
            field = message.field.add(name=name.rstrip("[]|?"), number=int(number))
            field.label = field_type.LABEL_REPEATED if name.endswith("[]") else field_type.LABEL_OPTIONAL
            if name.endswith("|"):
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                field.oneof_index = 0
            elif name.endswith("?"):
                field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")
            if kind in _MESSAGES:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    return file


def _classes() -> dict[str, Any]:
    # A pool of its own, so that these never meet the stock OTLP messages.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASS: Final = _classes()

TracesRequest: Final[Any] = _CLASS["TracesRequest"]
LogsRequest: Final[Any] = _CLASS["LogsRequest"]
MetricsRequest: Final[Any] = _CLASS["MetricsRequest"]
REQUESTS: Final[Mapping[Signal, Any]] = {"traces": TracesRequest, "logs": LogsRequest, "metrics": MetricsRequest}
METRIC_DATA: Final[Mapping[str, Any]] = {
    "gauge": _CLASS["Gauge"],
    "sum": _CLASS["Sum"],
    "histogram": _CLASS["Histogram"],
    "exponential_histogram": _CLASS["ExponentialHistogram"],
    "summary": _CLASS["Summary"],
}
"""The member of `Metric` -> the message in its bytes."""
KeyValue: Final[Any] = _CLASS["KeyValue"]
AnyValue: Final[Any] = _CLASS["AnyValue"]
ArrayValue: Final[Any] = _CLASS["ArrayValue"]
KeyValueList: Final[Any] = _CLASS["KeyValueList"]


def parse(signal: Signal, body: bytes) -> Any:  # noqa: ANN401 - see the module's docstring
    """Return the request message in ``body``; empty bytes are an empty request.

    Raises:
        DecodeError: the bytes are no such message (truncated, wrong wire types).
    """
    return REQUESTS[signal].FromString(body)


def text(raw: bytes) -> str:
    """Return the text of an OTLP string, with U+FFFD for every byte that is not UTF-8."""
    return raw.decode("utf-8", "replace")


def key_value(raw: bytes) -> tuple[str, Value]:
    """Return the key and the value of one raw attribute.

    Raises:
        DecodeError: the bytes are no KeyValue, or some value in it is none.
    """
    return _key_value(raw, MAX_DEPTH)


def any_value(raw: bytes) -> Value:
    """Return the Python value of one raw AnyValue; None where it holds none, of equal keys in a map the first.

    Raises:
        DecodeError: the bytes are no AnyValue, or some value in it is none.
    """
    return _any_value(raw, MAX_DEPTH)


def _key_value(raw: bytes, depth: int) -> tuple[str, Value]:
    pair = KeyValue.FromString(raw)
    return text(pair.key), _any_value(pair.value, depth)


def _any_value(raw: bytes, depth: int) -> Value:
    message = AnyValue.FromString(raw)
    kind = message.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(message, kind)
    if kind == "string_value":
        return text(value)
    if kind not in {"array_value", "kvlist_value"}:
        return value  # type: ignore[no-any-return] # bool, int, float or bytes by its field's type
    if depth == 0:
        return TOO_DEEP
    if kind == "array_value":
        return [_any_value(item, depth - 1) for item in ArrayValue.FromString(value).values]
    found: dict[str, Value] = {}
    for item in KeyValueList.FromString(value).values:
        key, member = _key_value(item, depth - 1)
        found.setdefault(key, member)
    return found
