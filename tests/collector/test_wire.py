"""OTLP read by messages of our own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.support.export_requests import traces

from spanhouse_collector import wire

SHARED = Path(__file__).parents[2].parent / "shared" / "otlp"
RECORDINGS = sorted(file for file in SHARED.glob("*.otlp.pb") if "metrics" not in file.name)

values: st.SearchStrategy[wire.Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)


def stock_value(value: wire.Value) -> AnyValue:  # noqa: PLR0911 - one return a kind
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            message = AnyValue()
            message.array_value.SetInParent()
            message.array_value.values.extend(map(stock_value, value))
            return message
        case dict():
            message = AnyValue()
            message.kvlist_value.SetInParent()
            message.kvlist_value.values.extend(KeyValue(key=k, value=stock_value(v)) for k, v in value.items())
            return message


@given(values)
def test_every_value_a_stock_sender_writes_is_read_as_it_was(value: wire.Value) -> None:
    assert wire.any_value(stock_value(value).SerializeToString()) == value


def test_every_field_of_a_span_has_otlps_number() -> None:
    request = traces(1)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.trace_state, span.flags, span.kind = "k=v", 257, 3  # type: ignore[assignment]
    span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count = 1, 2, 3
    span.status.code, span.status.message = 2, "no"  # type: ignore[assignment]
    span.events.add(name="e", time_unix_nano=5, dropped_attributes_count=6).attributes.add(key="k").value.int_value = 7
    span.links.add(trace_id=b"t", span_id=b"s", trace_state="l", flags=8, dropped_attributes_count=9)
    request.resource_spans[0].schema_url = "r"
    request.resource_spans[0].scope_spans[0].schema_url = "s"
    request.resource_spans[0].scope_spans[0].scope.name = "n"
    request.resource_spans[0].scope_spans[0].scope.version = "v"
    request.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "svc"

    read = wire.parse("traces", request.SerializeToString())

    assert ExportTraceServiceRequest.FromString(read.SerializeToString()) == request
    assert not _unknown_fields(read)


def _unknown_fields(message: Any) -> bool:
    return bool(len(UnknownFieldSet(message))) or any(
        _unknown_fields(inner)
        for field, value in message.ListFields()
        if field.message_type
        for inner in (value if field.is_repeated else [value])
    )


def test_a_string_that_is_no_utf8_spoils_only_itself() -> None:
    body = traces(1).SerializeToString().replace(b"invoke_agent a", b"invoke_agent \xff")
    with pytest.raises(DecodeError):
        ExportTraceServiceRequest.FromString(body)

    (span,) = wire.parse("traces", body).resource_spans[0].scope_spans[0].spans

    assert wire.text(span.name) == "invoke_agent �"
    assert wire.key_value(span.attributes[0]) == ("gen_ai.operation.name", "invoke_agent")


def test_a_value_nested_beyond_the_limit_is_cut_there_and_says_so() -> None:
    raw = b""
    for _ in range(500):
        raw = wire.AnyValue(array_value=wire.ArrayValue(values=[raw]).SerializeToString()).SerializeToString()

    value = wire.any_value(raw)

    depth = 0
    while isinstance(value, list):
        (value,) = value
        depth += 1
    assert (depth, value) == (wire.MAX_DEPTH, wire.TOO_DEEP)


def test_of_equal_keys_in_a_map_the_first_counts() -> None:
    pairs = [wire.KeyValue(key=b"k", value=wire.AnyValue(int_value=n).SerializeToString()) for n in (1, 2)]
    kvlist = wire.KeyValueList(values=[pair.SerializeToString() for pair in pairs])
    assert wire.any_value(wire.AnyValue(kvlist_value=kvlist.SerializeToString()).SerializeToString()) == {"k": 1}


def test_an_empty_string_is_not_the_same_as_no_value() -> None:
    assert wire.any_value(wire.AnyValue(string_value=b"").SerializeToString()) == ""
    assert wire.any_value(b"") is None


def test_not_a_number_survives() -> None:
    value = wire.any_value(wire.AnyValue(double_value=math.nan).SerializeToString())
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.skipif(not SHARED.exists(), reason="recordings are not here")
@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.name)
def test_recordings_of_real_frameworks_have_no_field_that_is_not_read(file: Path) -> None:
    request = wire.parse("logs" if "logs" in file.name else "traces", file.read_bytes())
    assert request.ListFields()
    assert not _unknown_fields(request)
