"""OTLP/JSON becomes the same request as protobuf."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.export_requests import logs, traces

from spanhouse_collector import json_wire, wire
from spanhouse_collector.json_depth import shallow


def hexed(node: Any) -> Any:
    """Protobuf's JSON with ids as OTLP wants them: hex, not base64."""
    if isinstance(node, list):
        return [hexed(item) for item in node]
    if isinstance(node, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        return {k: base64.b64decode(v).hex() if k in ids else hexed(v) for k, v in node.items()}
    return node


def span(**fields: Any) -> bytes:
    base = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "n"}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{**base, **fields}]}]}]}).encode()


def read_span(body: bytes) -> Any:
    return json_wire.parse("traces", body).resource_spans[0].scope_spans[0].spans[0]


def attribute(value: Any) -> wire.Value:
    return wire.key_value(read_span(span(attributes=[{"key": "k", "value": value}])).attributes[0])[1]


@pytest.mark.parametrize("preserving", [False, True], ids=["lowerCamelCase", "snake_case"])
def test_traces_and_logs_say_the_same_in_json_and_in_protobuf(preserving: bool) -> None:  # noqa: FBT001
    request = traces(3, 4, attributes={"text": "größe 🙂"})
    request.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "svc"
    sent = request.resource_spans[0].scope_spans[0].spans[0]
    sent.events.add(name="e", time_unix_nano=1)
    sent.status.code = 2  # type: ignore[assignment]
    as_json = MessageToDict(request, preserving_proto_field_name=preserving, use_integers_for_enums=True)
    if preserving:
        as_json = json.loads(json.dumps(as_json))
        for item in as_json["resource_spans"][0]["scope_spans"][0]["spans"]:
            for key in {"trace_id", "span_id", "parent_span_id"} & item.keys():
                item[key] = base64.b64decode(item[key]).hex()
    else:
        as_json = hexed(as_json)

    assert json_wire.parse("traces", json.dumps(as_json).encode()) == wire.parse("traces", request.SerializeToString())

    log = logs(["one"])
    body = json.dumps(MessageToDict(log, preserving_proto_field_name=preserving)).encode()
    assert json_wire.parse("logs", body) == wire.parse("logs", log.SerializeToString())


def test_ids_are_hex_in_either_case_and_an_unreadable_one_is_left_to_the_check() -> None:
    assert read_span(span(spanId="EEE19B7EC3C1B174")).span_id.hex() == "eee19b7ec3c1b174"
    assert len(read_span(span(traceId="not hexadecimal!")).trace_id) == 1


@pytest.mark.parametrize("given_time", ["1700000000000000001", 1700000000000000001], ids=type)
def test_64_bit_numbers_are_strings_or_numbers(given_time: Any) -> None:
    assert read_span(span(startTimeUnixNano=given_time)).start_time_unix_nano == 1700000000000000001


@pytest.mark.parametrize("kind", [3, "3", "SPAN_KIND_CLIENT"], ids=repr)
def test_enums_are_numbers_or_names(kind: Any) -> None:
    assert read_span(span(kind=kind)).kind == 3


def test_unknown_fields_are_ignored_and_null_is_absent() -> None:
    read = read_span(span(name=None, status=None, attributes=None, entityRefs=[1], newField={"a": 1}))
    assert (read.name, read.HasField("status"), list(read.attributes)) == (b"", False, [])
    assert json_wire.parse("logs", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":null}]}]}]}')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "s"}, "s"),
        ({"stringValue": ""}, ""),
        ({"boolValue": False}, False),
        ({"intValue": "-5"}, -5),
        ({"intValue": 5}, 5),
        ({"intValue": str(2**70)}, str(2**70)),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": "Infinity"}, math.inf),
        ({"doubleValue": "-Infinity"}, -math.inf),
        ({"bytesValue": "AQI="}, b"\1\2"),
        ({"bytesValue": "-_8"}, b"\xfb\xff"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}, None]}}, [1, None, None]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}, {"a": True}),
        ({}, None),
        (None, None),
    ],
)
def test_every_kind_of_value_is_read(value: Any, expected: wire.Value) -> None:
    assert attribute(value) == expected


def test_nan_is_read_as_text_and_as_the_bare_word() -> None:
    assert math.isnan(attribute({"doubleValue": "NaN"}))  # type: ignore[arg-type]
    assert math.isnan(attribute({"doubleValue": math.nan}))  # type: ignore[arg-type]


def test_a_cut_off_emoji_spoils_only_its_string() -> None:
    body = span(name="a").replace(b'"a"', b'"a\\ud83d"')
    assert wire.text(read_span(body).name).startswith("a�")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no JSON"),
        (b"[]", "the body must be an object, and is a list"),
        (b'{"resourceSpans": {}}', "resourceSpans must be a list"),
        (span(attributes={"k": "v"}), r'attributes must be a list, \[\{"key"'),
        (span(attributes=[{"key": "k", "value": "bare"}]), r"attributes\[0\].value must be an object"),
        (span(attributes=[{"key": 1}]), r"attributes\[0\].key must be a string"),
        (span(attributes=[{"key": "k", "value": {"boolValue": "yes"}}]), "must be true or false"),
        (span(attributes=[{"key": "k", "value": {"bytesValue": "!"}}]), "is no base64"),
        (span(startTimeUnixNano="noon"), "startTimeUnixNano must be a whole number"),
        (span(flags=-1), "it must be 0 to"),
        (span(traceId=7), "traceId must be hex digits"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"resourceSpans":' * 50_000, "nested too deeply"),
    ],
)
def test_what_is_not_otlp_is_refused_with_the_place_and_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(json_wire.JsonError, match=message):
        json_wire.parse("traces", body)


def test_a_value_nested_beyond_the_limit_is_cut_as_in_protobuf() -> None:
    value: Any = {"intValue": 1}
    for _ in range(wire.MAX_DEPTH + 20):
        value = {"arrayValue": {"values": [value]}}
    read = attribute(value)
    for _ in range(wire.MAX_DEPTH):
        assert isinstance(read, list)
        (read,) = read
    assert read == wire.TOO_DEEP


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "kind", "traceId", "stringValue"]
            ),
            inner,
            max_size=4,
        )
    ),
)


def test_a_value_of_json_too_deep_to_be_read_costs_only_itself() -> None:
    deep = '{"arrayValue":{"values":[' * 10_000 + "]}}" * 10_000
    said = {"key": '[}\\"', "value": {"stringValue": "{["}}
    body = span(attributes=[{"key": "k", "value": "DEEP"}, said]).replace(b'"DEEP"', deep.encode())
    read = read_span(body)
    value = wire.key_value(read.attributes[0])[1]
    for _ in range(wire.MAX_DEPTH):
        assert isinstance(value, list)
        (value,) = value
    assert value == wire.TOO_DEEP
    assert wire.key_value(read.attributes[1]) == ('[}\\"', "{[")


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.text('[]{}"\\a'), lambda inner: st.lists(inner, max_size=3), max_leaves=20),
    st.integers(1, 6),
)
def test_made_shallow_json_is_the_same_down_to_the_depth(value: Any, depth: int) -> None:
    def cut(node: Any, level: int) -> Any:
        if not isinstance(node, list):
            return node
        return [] if level == depth else [cut(item, level + 1) for item in node]

    assert json.loads(shallow(json.dumps(value), depth)) == cut(value, 0)


@given(json_values)
def test_any_json_is_either_read_or_refused_with_a_reason(source: Any) -> None:
    try:
        request = json_wire.parse("traces", json.dumps(source).encode())
    except json_wire.JsonError:
        return
    assert wire.parse("traces", request.SerializeToString()) == request
