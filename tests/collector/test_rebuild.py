"""A stored span can be made into OTLP again, and normalising that gives the same row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.otlp_bodies import RECEIVED_US, event, span, traces

from spanhouse_collector import rebuild
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord
from spanhouse_storage.payload import restored

CAPTURES = Path(__file__).parents[2].parent / "shared" / "otlp"
LATER_US = RECEIVED_US + 5_000_000

MODEL_CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"ho"}]}]',
}
TOOL_CALL = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "lookup",
    "gen_ai.tool.call.arguments": '{"b": 1, "a": [true, null]}',
    "gen_ai.tool.call.result": "found",
    "spanhouse.tool.attempt": 2,
    "spanhouse.step": 3,
}
RUN = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "support",
    "spanhouse.run_id": "ab" * 16,
    "spanhouse.stop_reason": "finish",
    "spanhouse.spans_expected": 3,
    "spanhouse.audit_expected": 9,
    "spanhouse.escalated": True,
    "tenant.id": "acme",
}


def again(rows: pa.Table, now_us: int = LATER_US) -> pa.Table:
    """The rows rebuilt and normalised, tenant by tenant."""
    parts = []
    for tenant in sorted(set(rows["tenant"].to_pylist())):
        mine = rows.filter(pc.equal(rows["tenant"], tenant)).select(rebuild.COLUMNS)
        body = RawRecord("traces", rebuild.request(mine), now_us, tenant)
        parts.append(rebuild.renewed(mine, Normaliser()([body]).tables["spans"], now_us))
    return pa.concat_tables(parts)


def plain(rows: pa.Table) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What rows say, references to payload columns resolved, by identity."""
    whole = rows.set_column(0, "tenant", rows["tenant"])
    for name in ("start", "end", "received_at", "bucket"):
        whole = whole.set_column(whole.column_names.index(name), name, whole[name].cast(pa.int64()))
    said = {}
    for row in whole.to_pylist():
        row["attributes"] = restored(dict(row["attributes"]), row)
        said[row["tenant"], row["trace_id"], row["span_id"]] = row
    return said


def assert_same(before: pa.Table, after: pa.Table) -> None:
    old, new = plain(before), plain(after)
    assert old.keys() == new.keys()
    for key, row in old.items():
        changed = {name for name, value in row.items() if new[key][name] != value}
        assert changed == {"received_at", "version"}, {name: (row[name], new[key][name]) for name in changed}
        assert new[key]["version"] > row["version"]
        assert new[key]["version"] >> 60 == row["version"] >> 60


def test_spans_of_our_own_convention_come_back_the_same() -> None:
    rows = Normaliser()(
        [
            traces(
                span(RUN, number=1, kind=1, trace_state="a=b", flags=1),
                span(MODEL_CALL, number=2, parent=1, kind=3, events=[event("note", {"n": 1, "deep": {"a": [1.5]}})]),
                span(TOOL_CALL, number=3, parent=1, status={"code": 2, "message": "boom\nmore"}),
                span({"spanhouse.pending": True}, number=4),
                resource={"service.name": "svc", "n": 5},
            )
        ]
    ).tables["spans"]
    assert_same(rows, again(rows))


def test_odd_times_and_ids_stay_as_they_were_stored() -> None:
    """A bucket is part of a row's identity: made anew from a time that stood in for none, it would be another."""
    odd = [
        span(number=1, start_time_unix_nano=0, end_time_unix_nano=0),
        span(number=2, start_time_unix_nano=2**64 - 1),
        span(number=3, end_time_unix_nano=5),
        span(number=4, start_time_unix_nano=1, end_time_unix_nano=2),
    ]
    rows = Normaliser()([traces(*odd)]).tables["spans"]
    assert_same(rows, again(rows))


def test_a_mended_mapping_never_moves_a_span_to_another_tenant() -> None:
    rows = Normaliser()([traces(span({"tenant.id": "acme"}))]).tables["spans"]
    moved = rows.set_column(0, rows.schema.field(0), pa.array(["globex"]))
    [tenant] = again(moved)["tenant"].to_pylist()
    assert tenant == "globex"


def test_the_hash_of_arguments_outlives_what_was_cut_out_of_them() -> None:
    """It was made before redaction, so that equal calls stay equal; one that is not known is made now."""
    rows = Normaliser()([traces(span(TOOL_CALL))]).tables["spans"]
    at = rows.column_names.index("args_hash")
    redacted = rows.set_column(at, rows.schema.field(at), pa.array(["made of the secret"]))
    assert again(redacted)["args_hash"].to_pylist() == ["made of the secret"]
    unknown = rows.set_column(at, rows.schema.field(at), pa.array([""]))
    assert again(unknown)["args_hash"].to_pylist() == rows["args_hash"].to_pylist()


def test_only_rows_that_say_something_else_are_told_apart() -> None:
    rows = Normaliser()([traces(span(MODEL_CALL, number=1), span(TOOL_CALL, number=2))]).tables["spans"]
    at = rows.column_names.index("input_tokens")
    misread = rows.set_column(at, rows.schema.field(at), pa.array([7, None], pa.uint64()))
    assert rebuild.changed(rows, again(rows)).num_rows == 0
    assert rebuild.changed(misread, again(misread))["input_tokens"].to_pylist() == [120]


def test_a_row_from_the_future_is_replaced_all_the_same() -> None:
    rows = Normaliser()([traces(span())]).tables["spans"]
    after = again(rows, now_us=RECEIVED_US - 1_000)
    assert after["version"][0].as_py() > rows["version"][0].as_py()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
KEYS = TEXTS | st.sampled_from([*MODEL_CALL, *TOOL_CALL])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=6), st.lists(st.tuples(TEXTS, VALUES), max_size=3))
def test_attributes_of_any_kind_come_back_as_the_same_text(
    attributes: list[tuple[str, Any]], said: list[tuple[str, Any]]
) -> None:
    """Their types are gone, so only their own map is compared: a number of 2**60 read from text may be rounded."""
    rows = Normaliser()([traces(span(attributes, events=[event("e", said)]), resource=said)]).tables["spans"]
    [before], [after] = plain(rows).values(), plain(again(rows)).values()
    for name in ("attributes", "resource", "events", "span_class", "convention"):
        assert after[name] == before[name]


@pytest.mark.skipif(not CAPTURES.exists(), reason="the recordings are not on this machine")
def test_recordings_of_real_frameworks_come_back_the_same() -> None:
    files = [file for file in CAPTURES.glob("*.otlp.pb") if file.name.count(".") == 2]
    assert files
    for file in files:
        rows = Normaliser()([RawRecord("traces", file.read_bytes(), RECEIVED_US)]).tables["spans"]
        assert_same(rows, again(rows))
