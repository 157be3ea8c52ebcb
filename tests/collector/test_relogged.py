"""A stored log record read again gives what it gave, and after a mapping was mended what a fresh one would give."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.otlp_bodies import RECEIVED_US, attributes, logs
from tests.support.recordings import RECORDINGS, Recording, records

from spanhouse.canonical import canonical_json
from spanhouse_collector import conventions
from spanhouse_collector.conventions.agent_log import LogEvent, Reading
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.normalise.relogged import newest, relogged
from spanhouse_collector.prices import Prices
from spanhouse_storage.derived import FROM_LOG

LATER_US = RECEIVED_US + 5_000_000
ANEW = ("version", "received_at")
WITH_LOGS = [each for each in RECORDINGS if each.logs is not None]
TOLD = ("spans", "messages", "scores", "audit_events")


def fresh(recording: Recording) -> dict[str, pa.Table]:
    """Return what the recording's log records give on arrival."""
    bodies = [each for each in records(recording, RECEIVED_US) if each.signal == "logs"]
    return Normaliser()(bodies).tables


def told(tables: dict[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    """Return what log records tell beside themselves, in an order that does not depend on theirs."""
    found = {}
    for name in TOLD:
        rows = tables.get(name)
        if rows is None:
            continue
        if name == "spans":
            rows = newest(rows)
        plain = [{key: meant(value) for key, value in row.items() if key not in ANEW} for row in texts(rows)]
        if plain:
            found[name] = sorted(plain, key=canonical_json)
    return found


def meant(value: Any) -> Any:
    """Return what a JSON text says: the order of its members is no part of that."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in {"[", "{"} else value
    except ValueError:
        return value


def texts(rows: pa.Table) -> list[dict[str, Any]]:
    for number, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(number, field.name, rows.column(field.name).cast(pa.int64()))
    plain: list[dict[str, Any]] = rows.to_pylist()
    return plain


@pytest.mark.parametrize("recording", WITH_LOGS, ids=lambda each: each.name)
def test_what_a_recordings_log_records_told_they_tell_again(recording: Recording) -> None:
    before = fresh(recording)
    assert before["logs"].num_rows
    after = relogged(before["logs"], LATER_US, Prices())
    kept = [name for name in before["logs"].column_names if name not in ANEW]
    assert texts(after["logs"].select(kept)) == texts(before["logs"].select(kept))
    assert told(after) == told(before)
    assert min(after["logs"]["version"].to_pylist()) > max(before["logs"]["version"].to_pylist())


@pytest.mark.parametrize("recording", WITH_LOGS, ids=lambda each: each.name)
def test_after_a_mapping_was_mended_rows_become_what_a_fresh_ingest_gives(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken mapping loses the session, the user and every figure of a call; ids differ, too."""
    good = conventions.LOG_CONVENTIONS
    broken = tuple(replace(each, read=_broken(each.read)) for each in good)
    monkeypatch.setattr(conventions, "LOG_CONVENTIONS", broken)
    stored = fresh(recording)
    misread = told(stored)
    monkeypatch.setattr(conventions, "LOG_CONVENTIONS", good)
    wanted = fresh(recording)
    after = relogged(stored["logs"], LATER_US, Prices())
    kept = [name for name in wanted["logs"].column_names if name not in ANEW]
    assert texts(after["logs"].select(kept)) == texts(wanted["logs"].select(kept))
    assert told(after) == told(wanted)
    if any(flags & FROM_LOG for flags in wanted["spans"]["flags"].to_pylist()):
        assert misread != told(wanted)


def _broken(read: Any) -> Any:
    def misread(event: LogEvent) -> Reading:
        found: Reading = read(event)
        call = found.call and replace(found.call, columns={}, ms=0)
        return replace(found, session=f"not {found.session}" if found.session else "", user="", call=call)

    return misread


def test_a_body_that_looks_like_json_and_was_a_text_stays_a_text() -> None:
    """Read as a map it would say something its sender did not."""
    said = attributes({"gen_ai.system": "openai", "content": "from the attributes"})
    name = "gen_ai.user.message"
    trace_id, span_id = bytes(range(1, 17)), bytes(range(1, 9))
    body = AnyValue(string_value='{"content": "from the body"}')
    structured = AnyValue()
    structured.kvlist_value.values.extend(attributes({"content": "from the body"}))
    for sent, heard in ((body, "from the attributes"), (structured, "from the body")):
        record = LogRecord(event_name=name, attributes=said, body=sent, trace_id=trace_id, span_id=span_id)
        before = Normaliser()([logs(record)]).tables
        after = relogged(before["logs"], LATER_US, Prices())
        assert after["messages"]["input"].to_pylist() == before["messages"]["input"].to_pylist()
        assert heard in after["messages"]["input"][0].as_py()
