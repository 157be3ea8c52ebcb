"""The shortcuts of decoding give what the long way gives: attributes read by hand, hashes, batches cut into pieces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from spanhouse.canonical import args_hash
from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import parsed
from spanhouse_collector.normalise import Normaliser, cells, spans
from spanhouse_collector.normalise.attributes import UNREADABLE, Attributes
from spanhouse_collector.normalise.columns import hexadecimal
from spanhouse_collector.records import Normalised, RawRecord, Signal
from spanhouse_collector.redaction.gate import Gate
from spanhouse_collector.redaction.settings import MASKED

RECORDINGS = sorted((Path(__file__).parents[1] / "fixtures" / "conventions").glob("**/*.pb"))


def read(raw: bytes) -> tuple[str, wire.Value]:
    key, value, _ = Attributes().entries([raw])[0]
    return key, value


@pytest.mark.parametrize(
    "length", [0, 1, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16_376, 16_383, 16_384, 2_097_152]
)
def test_a_text_of_any_length_is_read_whole(length: int) -> None:
    raw = KeyValue(key="some.key", value=AnyValue(string_value="x" * length)).SerializeToString()
    assert read(raw) == ("some.key", "x" * length)


@given(st.binary(max_size=200))
@example(KeyValue(key="", value=AnyValue(string_value="")).SerializeToString())
@example(KeyValue(key="k" * 127, value=AnyValue(string_value="v")).SerializeToString())
@example(KeyValue(key="k" * 128, value=AnyValue(string_value="v")).SerializeToString())
@example(b"\x0a\x81\x00k\x12\x03\x0a\x01v")
@example(b"\x0a\x01k\x12\x03\x0a\x01\xff")
@example(b"\x12\x03\x0a\x01v\x0a\x01k")
def test_bytes_read_by_hand_mean_what_the_messages_say(raw: bytes) -> None:
    try:
        expected = wire.key_value(raw)
    except wire.DecodeError:
        assert read(raw)[0] == UNREADABLE
    else:
        # A float that is no number equals nothing, itself included.
        assert repr(read(raw)) == repr(expected)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text()),
    )
)
def test_arguments_hash_as_their_canonical_json_does(arguments: dict[str, object]) -> None:
    said = json.dumps(arguments)
    assert cells._hash_of(said) == args_hash(parsed(said))


@given(st.lists(st.one_of(st.binary(max_size=10), st.binary(min_size=8, max_size=8), st.just(bytes(8)))))
def test_ids_are_written_in_hex_where_they_are_ids(ids: list[bytes]) -> None:
    expected = [raw.hex() if len(raw) == 8 and any(raw) else "" for raw in ids]
    assert hexadecimal(ids, 8).to_pylist() == expected


def _recorded() -> list[RawRecord]:
    kinds: dict[str, Signal] = {"logs": "logs", "metrics": "metrics"}
    return [
        RawRecord(kinds.get(file.name.split(".")[1], "traces"), file.read_bytes(), 1_780_000_000_000_000 + number)
        for number, file in enumerate(RECORDINGS)
    ]


def _rows(found: Normalised) -> dict[str, list[str]]:
    tables: dict[str, pa.Table] = {**found.tables, "traces": found.traces}
    return {name: sorted(map(str, rows.cast(_readable(rows.schema)).to_pylist())) for name, rows in tables.items()}


def _readable(schema: pa.Schema) -> pa.Schema:
    # Python's times hold no nanoseconds.
    return pa.schema([f.with_type(pa.int64()) if pa.types.is_timestamp(f.type) else f for f in schema])


@pytest.mark.parametrize("through", [lambda found: found, Gate(MASKED)], ids=["normalised", "redacted"])
def test_a_batch_cut_into_pieces_gives_the_rows_of_the_whole(
    through: Callable[[Normalised], Normalised], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _recorded()
    assert len(records) > 3
    whole = through(Normaliser()(records))
    monkeypatch.setattr(spans, "_PIECE_BYTES", 1)
    pieces = through(Normaliser()(records))
    assert pieces.tables["spans"].column("name").num_chunks > 3
    assert _rows(pieces) == _rows(whole)
    assert (pieces.counts, pieces.redacted) == (whole.counts, whole.redacted)
