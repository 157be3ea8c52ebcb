"""What OTLP can say of a span and a log record, each part of it kept, in protobuf and in JSON alike."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp_bodies import RECEIVED_US, START_NS, TRACE_ID, attributes

from spanhouse_collector import json_wire, wire
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord, Signal
from spanhouse_storage.derived import OF_LOGS

SPAN_ID = bytes(range(1, 9))
EVERY_VALUE = {
    "string": "größe",
    "empty string": "",
    "bool": True,
    "int": -(2**63),
    "double": 0.1,
    "array": [1, "two", [3.5], {"four": False}],
    "kvlist": {"a": {"b": ["c"]}},
    "bytes": b"\x00\xff",
    "nothing": None,
}
EVERY_TEXT = {
    "string": "größe",
    "empty string": "",
    "bool": "true",
    "int": "-9223372036854775808",
    "double": "0.1",
    "array": '[1,"two",[3.5],{"four":false}]',
    "kvlist": '{"a":{"b":["c"]}}',
    "bytes": '"AP8="',
    "nothing": "null",
}


def trace_request() -> ExportTraceServiceRequest:
    """Return one span that says all a span can say."""
    request = ExportTraceServiceRequest()
    under = request.resource_spans.add(schema_url="https://schema/resource")
    under.resource.attributes.extend(attributes({"service.name": "shop", "service.version": "2"}))
    under.resource.dropped_attributes_count = 1
    within = under.scope_spans.add(schema_url="https://schema/scope")
    within.scope.name, within.scope.version = "lib", "1.2"
    within.scope.attributes.extend(attributes({"team": "a"}))
    span = within.spans.add(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=bytes(range(9, 17)),
        trace_state="vendor=1,other=2",
        flags=257,
        name="work",
        kind=3,
        start_time_unix_nano=START_NS + 1,
        end_time_unix_nano=START_NS + 3,
        dropped_attributes_count=2,
        dropped_events_count=3,
        dropped_links_count=4,
    )
    span.attributes.extend(attributes(EVERY_VALUE))
    span.status.code, span.status.message = 2, "broken"  # type: ignore[assignment]
    event = span.events.add(time_unix_nano=START_NS + 2, name="retry", dropped_attributes_count=5)
    event.attributes.extend(attributes(EVERY_VALUE))
    link = span.links.add(trace_id=TRACE_ID[::-1], span_id=SPAN_ID[::-1], trace_state="k=v", flags=1)
    link.dropped_attributes_count = 6
    link.attributes.extend(attributes({"why": "batch"}))
    return request


def log_request() -> ExportLogsServiceRequest:
    """Return one log record that says all a log record can say."""
    request = ExportLogsServiceRequest()
    under = request.resource_logs.add(schema_url="https://schema/resource")
    under.resource.attributes.extend(attributes({"service.name": "shop"}))
    within = under.scope_logs.add(schema_url="https://schema/scope")
    within.scope.name, within.scope.version = "lib", "1.2"
    within.scope.attributes.extend(attributes({"team": "a"}))
    record = within.log_records.add(
        observed_time_unix_nano=START_NS + 5,
        severity_number=17,
        severity_text="ERROR",
        dropped_attributes_count=2,
        flags=1,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        event_name="tool.failed",
    )
    record.attributes.extend(attributes(EVERY_VALUE))
    record.body.CopyFrom(attributes({"body": {"deep": [1, None]}})[0].value)
    return request


def as_json(request: Any, *, hex_case: str = "lower") -> bytes:
    """Return the request in OTLP's JSON, its ids in lower or upper case."""

    def hexed(node: Any) -> Any:
        if isinstance(node, list):
            return [hexed(item) for item in node]
        if not isinstance(node, dict):
            return node
        ids = {"traceId", "spanId", "parentSpanId"}
        return {k: getattr(base64.b64decode(v).hex(), hex_case)() if k in ids else hexed(v) for k, v in node.items()}

    return json.dumps(hexed(MessageToDict(request, use_integers_for_enums=True))).encode()


def row(signal: Signal, table: str, body: bytes) -> dict[str, Any]:
    (found,) = Normaliser()([RawRecord(signal, body, RECEIVED_US)]).tables[table].to_pylist()
    return dict(found)


SPANS = {
    "protobuf": trace_request().SerializeToString(),
    "JSON": json_wire.parse("traces", as_json(trace_request())).SerializeToString(),
    "JSON in capitals": json_wire.parse("traces", as_json(trace_request(), hex_case="upper")).SerializeToString(),
}
LOGS = {
    "protobuf": log_request().SerializeToString(),
    "JSON": json_wire.parse("logs", as_json(log_request())).SerializeToString(),
}


@pytest.mark.parametrize("body", SPANS.values(), ids=SPANS)
def test_all_that_a_span_says_is_kept(body: bytes) -> None:
    kept = row("traces", "spans", body)
    assert (kept["trace_id"], kept["span_id"]) == (TRACE_ID.hex(), SPAN_ID.hex())
    assert (kept["parent_span_id"], kept["trace_state"]) == (bytes(range(9, 17)).hex(), "vendor=1,other=2")
    assert (kept["flags"], kept["span_kind"]) == (257, "client")
    assert (kept["status"], kept["status_message"]) == ("error", "broken")
    assert (kept["start"].value, kept["end"].value, kept["duration_ns"]) == (START_NS + 1, START_NS + 3, 2)
    assert [kept[f"dropped_{what}"] for what in ("attributes", "events", "links")] == [2, 3, 4]
    assert dict(kept["attributes"]) == EVERY_TEXT
    assert (kept["service_name"], kept["scope_name"], kept["scope_version"]) == ("shop", "lib", "1.2")
    assert dict(kept["resource"])["otel.resource.schema_url"] == "https://schema/resource"
    assert dict(kept["scope_attributes"]) == {"team": "a", "otel.scope.schema_url": "https://schema/scope"}


@pytest.mark.parametrize("body", SPANS.values(), ids=SPANS)
def test_events_and_links_are_kept_whole(body: bytes) -> None:
    kept = row("traces", "spans", body)
    (event,) = json.loads(kept["events"])
    assert (event["name"], event["dropped_attributes"]) == ("retry", 5)
    assert event["time"].endswith("000000002Z")
    assert event["attributes"] == {**EVERY_VALUE, "bytes": "AP8="}
    assert json.loads(kept["links"]) == [
        {
            "trace_id": TRACE_ID[::-1].hex(),
            "span_id": SPAN_ID[::-1].hex(),
            "trace_state": "k=v",
            "flags": 1,
            "attributes": {"why": "batch"},
            "dropped_attributes": 6,
        }
    ]


@pytest.mark.parametrize("body", LOGS.values(), ids=LOGS)
def test_all_that_a_log_record_says_is_kept(body: bytes) -> None:
    kept = row("logs", "logs", body)
    assert kept["time"].value == START_NS + 5
    assert (kept["severity_number"], kept["severity_text"], kept["event_name"]) == (17, "ERROR", "tool.failed")
    assert (kept["trace_id"], kept["span_id"]) == (TRACE_ID.hex(), SPAN_ID.hex())
    assert (kept["flags"] & ~OF_LOGS, kept["dropped_attributes"]) == (1, 2)
    assert kept["body"] == '{"deep":[1,null]}'
    assert dict(kept["attributes"]) == EVERY_TEXT
    assert (kept["scope_name"], kept["scope_version"]) == ("lib", "1.2")
    assert dict(kept["scope_attributes"]) == {"team": "a", "otel.scope.schema_url": "https://schema/scope"}
    assert dict(kept["resource"])["otel.resource.schema_url"] == "https://schema/resource"


def test_a_severity_and_a_time_may_be_missing() -> None:
    request = log_request()
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.ClearField("severity_number")
    record.ClearField("observed_time_unix_nano")
    kept = row("logs", "logs", request.SerializeToString())
    assert (kept["severity_number"], kept["time"].value) == (0, RECEIVED_US * 1000)


PROFILES_ONLY = {"key_strindex", "string_value_strindex"}
NOT_READ = {"entity_refs"}


@pytest.mark.parametrize(
    "stock",
    [ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest],
    ids=["traces", "logs", "metrics"],
)
def test_every_field_of_otlp_is_read_under_its_number(stock: Any) -> None:
    """Nothing of the stock messages is missing in ours, or has another number or wire type."""
    ours = {
        ExportTraceServiceRequest: wire.TracesRequest,
        ExportLogsServiceRequest: wire.LogsRequest,
        ExportMetricsServiceRequest: wire.MetricsRequest,
    }[stock]
    compare(stock.DESCRIPTOR, ours.DESCRIPTOR)


def compare(stock: Descriptor | None, ours: Descriptor | None) -> None:
    """Hold a message of ours against the stock one, and so on below it."""
    assert stock is not None
    assert ours is not None
    for field in stock.fields:
        if field.name in PROFILES_ONLY | NOT_READ:
            continue
        own = ours.fields_by_number[field.number]
        assert (own.name, own.is_repeated) == (field.name, field.is_repeated), field.full_name
        assert WIRE_TYPES[own.type] == WIRE_TYPES[field.type], field.full_name
        if own.type == FieldDescriptor.TYPE_MESSAGE:
            compare(field.message_type, own.message_type)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.name in wire.METRIC_DATA:
            compare(field.message_type, wire.METRIC_DATA[field.name].DESCRIPTOR)


WIRE_TYPES = {
    **dict.fromkeys((FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE), "bytes"),
    **dict.fromkeys((FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM), "int"),
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_SINT32: "zigzag",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
    FieldDescriptor.TYPE_DOUBLE: "double",
}
