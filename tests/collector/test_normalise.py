"""What normalising makes of any spans, whatever convention they speak."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.otlp_bodies import RECEIVED_US, START_NS, TRACE_ID, attributes, event, row, rows, span, traces

from spanhouse_collector import wire
from spanhouse_collector.normalise import Normaliser, normalise
from spanhouse_collector.normalise.attributes import MAX_TEXT, UNREADABLE
from spanhouse_collector.records import TRACES_SCHEMA, RawRecord
from spanhouse_storage.payload import restored
from spanhouse_storage.tables import SCHEMAS

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("gen_ai.operation.name", "gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens"),
        *("gen_ai.response.finish_reasons", "gen_ai.input.messages", "gen_ai.tool.call.arguments", "gen_ai.tool.name"),
        *("gen_ai.request.model", "gen_ai.usage.cost", "spanhouse.pending", "spanhouse.step", "tenant.id"),
        *("openinference.span.kind", "llm.input_messages.0.message.content", "llm.tools.0.tool.json_schema"),
        *("llm.output_messages.0.message.tool_calls.0.tool_call.function.name", "input.value", "metadata"),
        *("mlflow.spanType", "mlflow.spanInputs", "mlflow.chat.tokenUsage", "traceloop.span.kind", "error.type"),
        *("gen_ai.prompt.0.content", "gen_ai.prompt.0.tool_calls.0.name", "gen_ai.completion.1.content", "session.id"),
    ]
)
ATTRIBUTES = st.lists(st.tuples(KEYS | st.text(max_size=10), VALUES), max_size=8)
SCOPES = st.sampled_from(["", "my.app", "strands.telemetry.tracer", "gcp.vertex.agent", "pydantic-ai"])


def test_tables_have_exactly_the_stores_columns_and_types() -> None:
    """Every table, also an empty one, fits the store's schema without a cast."""
    for records in ([], [traces(span({"gen_ai.operation.name": "chat"}))]):
        found = Normaliser()(records)
        assert {name: table.schema for name, table in found.tables.items()} == {
            name: SCHEMAS[name] for name in ("spans", "audit_events", "logs", "metric_points")
        }
        assert found.traces.schema.equals(TRACES_SCHEMA)
        for table in found.tables.values():
            table.validate(full=True)


@settings(max_examples=150, deadline=None)
@given(ATTRIBUTES, SCOPES)
def test_any_attributes_are_kept_as_text_and_never_raise(given_: list[tuple[str, Any]], scope: str) -> None:
    """Every attribute of any kind stands in the map, in its order; strings word for word, the rest as JSON."""
    only = row(given_, scope=scope)
    assert [key for key, _ in only["attributes"]] == [key for key, _ in given_]
    for (_, text), (key, sent) in zip(only["attributes"], given_, strict=True):
        kept = restored({key: text}, only)[key]
        if isinstance(sent, str):
            assert kept == sent
        elif not isinstance(sent, bytes):
            json.loads(kept)


@settings(max_examples=40, deadline=None)
@given(st.lists(ATTRIBUTES, max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_of_bodies_change_no_row(many: list[list[tuple[str, Any]]], rng: random.Random) -> None:
    """Shuffled and repeated bodies, and what was met before, give the same rows."""
    records = [traces(span(each, number=number + 1)) for number, each in enumerate(many)]
    again = records * 2
    rng.shuffle(again)
    assert _distinct(normalise(again).tables["spans"]) == _distinct(Normaliser()(records).tables["spans"])


def _distinct(table: pa.Table) -> list[str]:
    return sorted({repr(each) for each in table.to_pylist()})


def test_a_span_without_usable_ids_is_left_out_alone() -> None:
    """Its neighbours in the same body are kept."""
    bad = [span(number=2), span(number=3), span(number=4), span(number=5)]
    bad[0].trace_id, bad[1].trace_id = b"", bytes(16)
    bad[2].span_id, bad[3].span_id = b"short", bytes(8)
    assert [each["span_id"] for each in rows(traces(span(), *bad))] == [(1).to_bytes(8).hex()]


def test_invalid_utf8_spoils_one_string_and_no_other() -> None:
    """A byte that is no UTF-8 becomes a replacement character; the span's other attributes stay."""
    made = traces(span({"a": "XXXX", "gen_ai.tool.name": "find"}, name="XXXX"))
    body = made.body.replace(b"XXXX", b"a\xff\xfeb")
    (only,) = rows(RawRecord("traces", body, RECEIVED_US))
    assert only["name"] == "a��b"
    assert dict(only["attributes"]) == {"a": "a��b", "gen_ai.tool.name": "find"}
    assert only["tool_name"] == "find"


def test_an_attribute_that_is_no_key_value_is_kept_in_base64() -> None:
    """Broken bytes inside an attribute do not lose the span, nor themselves."""
    made = traces(span({"aaaa": True}))
    good = attributes({"aaaa": True})[0].SerializeToString()
    broken = good[:-2] + b"\xff\xff"
    (only,) = rows(RawRecord("traces", made.body.replace(good, broken), RECEIVED_US))
    assert [key for key, _ in only["attributes"]] == [UNREADABLE]


def test_deep_nesting_is_cut_and_the_span_kept() -> None:
    """Lists nested far too deeply end in a marker; JSON text nested so is kept as text."""
    text = "[" * 50_000 + "]" * 50_000
    made = traces(span({"gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": text, "mlflow.spanInputs": text}))
    request = wire.parse("traces", made.body)
    nested = b""
    for _ in range(300):
        nested = wire.AnyValue(array_value=wire.ArrayValue(values=[nested]).SerializeToString()).SerializeToString()
    deep = wire.KeyValue(key=b"deep", value=nested).SerializeToString()
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(deep)
    (only,) = rows(RawRecord("traces", request.SerializeToString(), RECEIVED_US))
    assert wire.TOO_DEEP in dict(only["attributes"])["deep"]
    assert only["input"] == text
    assert len(only["args_hash"]) == 16


def test_of_equal_keys_the_first_counts_and_both_are_kept() -> None:
    """Typed columns take the first of two equal keys; the map holds both."""
    only = row([("session.id", 7), ("session.id", "seven")])
    assert only["session_id"] == "7"
    assert only["attributes"] == [("session.id", "7"), ("session.id", "seven")]


def test_a_text_is_not_stored_twice() -> None:
    """What a payload column holds word for word stands in the map as a reference, and can be put back."""
    sent = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role":"user","parts":[]}]'}
    only = row(sent)
    assert dict(only["attributes"])["gen_ai.input.messages"] == "@input"
    assert restored(dict(only["attributes"]), only) == sent


def test_an_oversized_text_is_cut_and_marked() -> None:
    """The row says that something was cut, and the counts say so too."""
    found = Normaliser()([traces(span({"big": "x" * (MAX_TEXT + 1)}), span(number=2))])
    big, small = found.tables["spans"].to_pylist()
    assert (len(dict(big["attributes"])["big"]), big["clamped"]) == (MAX_TEXT, ["attributes"])
    assert small["clamped"] == []
    assert (found.counts.spans, found.counts.clamped) == (2, 1)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (START_NS, START_NS - 1, (START_NS, START_NS - 1, 0, START_NS // 10**9, ["duration"])),
        (0, START_NS, (START_NS, START_NS, 0, START_NS // 10**9, [])),
        (START_NS, 0, (START_NS, START_NS, 0, START_NS // 10**9, [])),
        (0, 0, (RECEIVED_US * 1000, RECEIVED_US * 1000, 0, 0, ["bucket"])),
        (5, 9, (5, 9, 4, 0, ["bucket"])),
        (2**64 - 1, 2**64 - 1, (2**63 - 1, 2**63 - 1, 0, 0, ["start", "end", "bucket"])),
    ],
    ids=["backwards", "no start", "no end", "no times", "1970", "far future"],
)
def test_odd_times_are_kept_clamped_and_marked(start: int, end: int, expected: tuple[Any, ...]) -> None:
    """One edge stands in for the other; the bucket depends on what was sent alone, never on receipt."""
    record = traces(span(start_time_unix_nano=start, end_time_unix_nano=end))
    table = Normaliser()([record]).tables["spans"]
    times = [table[name].cast(pa.int64())[0].as_py() for name in ("start", "end", "duration_ns", "bucket")]
    assert (*times, table["clamped"][0].as_py()) == expected


def test_a_finished_span_beats_its_start_record_however_late_that_comes() -> None:
    """Finality counts more in the version than receipt, receipt more than the collector."""
    pending = traces(span({"spanhouse.pending": True}))
    late = RawRecord("traces", pending.body, RECEIVED_US + 10**9, collector=255)
    early = traces(span())
    versions = {each["is_final"]: each["version"] for each in rows(late, early)}
    assert versions[True] > versions[False]
    assert versions[True] == (1 << 60) | (RECEIVED_US << 8)
    assert versions[False] == ((RECEIVED_US + 10**9) << 8) | 255


def test_traces_touched_say_their_span_of_starts_and_whether_a_root_came() -> None:
    """A pending root roots nothing; a final run span does even below a foreign parent."""
    pending = traces(span({"spanhouse.pending": True}), span(number=2, parent=1, start_time_unix_nano=START_NS + 5))
    (touched,) = Normaliser()([pending]).traces.to_pylist()
    assert (touched["tenant"], touched["trace_id"], touched["rooted"]) == ("default", TRACE_ID.hex(), False)
    assert touched["last_start"].value - touched["first_start"].value == 5
    run = traces(span({"spanhouse.spans_expected": 3}, parent=9))
    assert Normaliser()([pending, run]).traces["rooted"].to_pylist() == [True]
    assert Normaliser()([traces(span())]).traces["rooted"].to_pylist() == [True]


def test_tenant_and_environment_come_from_span_then_resource_then_record() -> None:
    """The nearest one that says something wins."""
    resource = {"tenant.id": "of-resource", "deployment.environment": "prod", "service.name": "svc"}
    named = row({"tenant.id": "of-span", "deployment.environment.name": "dev"}, resource=resource)
    assert (named["tenant"], named["environment"], named["service_name"]) == ("of-span", "dev", "svc")
    plain = row(resource=resource)
    assert (plain["tenant"], plain["environment"]) == ("of-resource", "prod")
    assert row()["tenant"] == "default"
    assert dict(plain["resource"]) == resource


def test_events_and_links_are_kept_whole() -> None:
    """Both are JSON arrays in the span's order, with times in RFC 3339 and values of their own types."""
    made = span(events=[event("e", {"n": 1, "raw": b"hi", "nan": math.nan})])
    made.links.add(trace_id=TRACE_ID, span_id=(7).to_bytes(8), trace_state="a=b", flags=1)
    (only,) = rows(traces(made))
    (told,) = json.loads(only["events"])
    assert told["attributes"] == {"n": 1, "raw": "aGk=", "nan": "NaN"}
    assert told["time"] == "2026-05-28T20:26:40.000000000Z"
    (link,) = json.loads(only["links"])
    assert (link["trace_id"], link["span_id"], link["trace_state"]) == (TRACE_ID.hex(), (7).to_bytes(8).hex(), "a=b")
