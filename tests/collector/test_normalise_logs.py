"""Log records: Spanhouse's audit events and every other record."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.otlp_bodies import RECEIVED_US, START_NS, TRACE_ID, attributes, logs, rows, value

from spanhouse_collector import wire
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.normalise.attributes import UNREADABLE
from spanhouse_collector.records import RawRecord

COMMON = {
    "spanhouse.run_id": "r1",
    "spanhouse.request_id": "q1",
    "tenant.id": "acme",
    "deployment.environment.name": "prod",
    "gen_ai.agent.name": "support",
    "gen_ai.agent.version": "3",
    "spanhouse.step": 2,
    "spanhouse.audit.seq": 7,
    "spanhouse.audit.version": 1,
}
OWN = {"tool": "send", "args_hash": "abc", "decision": "deny", "status": "denied", "duration_ms": 1.5, "z": [1], "a": 1}


def record(given_: Any, body: Any = None, event_name: str = "", **fields: Any) -> LogRecord:
    """Return one log record of the trace `TRACE_ID`."""
    made = LogRecord(trace_id=TRACE_ID, span_id=(1).to_bytes(8), event_name=event_name, **fields)
    made.attributes.extend(attributes(given_))
    if body is not None:
        made.body.CopyFrom(value(body))
    return made


@pytest.mark.parametrize("body", [OWN, json.dumps(OWN)], ids=["map", "JSON text"])
def test_an_audit_event_becomes_a_row(body: Any) -> None:
    """Common fields come from the attributes, the event's own from the body, which is kept as canonical JSON."""
    made = record(COMMON, body, "tool.call", time_unix_nano=START_NS)
    table = Normaliser()([logs(made, scope="spanhouse.audit")]).tables["audit_events"]
    (only,) = table.to_pylist()
    expected = {
        "tenant": "acme",
        "stream": "r1",
        "seq": 7,
        "name": "tool.call",
        "environment": "prod",
        "request_id": "q1",
        "run_id": "r1",
        "trace_id": TRACE_ID.hex(),
        "span_id": (1).to_bytes(8).hex(),
        "agent": "support",
        "agent_version": "3",
        "step": 2,
        "tool": "send",
        "args_hash": "abc",
        "decision": "deny",
        "status": "denied",
        "duration_ms": 1.5,
        "event_version": 1,
    }
    assert {key: only[key] for key in expected} == expected
    assert table["time"].cast(pa.int64())[0].as_py() == START_NS
    assert list(json.loads(only["data"])) == sorted(OWN)
    assert json.loads(only["data"]) == OWN


def test_a_sub_agent_elsewhere_has_a_stream_of_its_own() -> None:
    """Its events are the run's and are numbered apart; nothing a run says leads into the control stream."""
    own = "0123456789abcdef" * 2
    for said, run_id, stream in ((own, "r1", own), ("control", "r1", "r1"), (own, "", "control"), (7, "r1", "r1")):
        given_ = {**COMMON, "spanhouse.run_id": run_id, "spanhouse.audit.stream": said}
        made = record(given_, {}, "decision", time_unix_nano=START_NS)
        (only,) = Normaliser()([logs(made, scope="spanhouse.audit")]).tables["audit_events"].to_pylist()
        assert (only["stream"], only["run_id"]) == (stream, run_id)


def test_an_audit_event_of_no_run_goes_to_the_control_stream() -> None:
    """What operators do has an order of its own."""
    made = record({"spanhouse.audit.seq": 1}, {}, "kill")
    (only,) = rows(logs(made, scope="spanhouse.audit"), table="audit_events")
    assert (only["stream"], only["run_id"], only["data"]) == ("control", "", "{}")


@pytest.mark.parametrize(
    ("attributes_", "event_name", "scope"),
    [(COMMON, "tool.call", "other"), (COMMON, "", "spanhouse.audit"), ({}, "tool.call", "spanhouse.audit")],
    ids=["another scope", "no name", "no sequence number"],
)
def test_what_is_no_audit_event_is_kept_as_a_log(attributes_: Any, event_name: str, scope: str) -> None:
    """Nothing is lost for being incomplete, and nothing incomplete enters the audit stream."""
    found = Normaliser()([logs(record(attributes_, {}, event_name), scope=scope)])
    assert (found.counts.audit_events, found.counts.logs) == (0, 1)


def test_a_log_record_sent_again_has_the_same_id() -> None:
    """The id is a hash of the content, whatever stood beside it in the body and whenever it came."""
    first, second = record({"n": 1}, "a"), record({"n": 2}, "a")
    alone = rows(logs(first), table="logs")
    later = RawRecord("logs", logs(second, first).body, RECEIVED_US + 5)
    ids = [each["record_id"] for each in rows(later, table="logs")]
    assert alone[0]["record_id"] in ids
    assert len(set(ids)) == 2


def test_log_columns_come_from_the_same_names_as_those_of_spans() -> None:
    """Ids that joined a span join a log record."""
    made = record({"gen_ai.conversation.id": "s", "enduser.id": "u", "request_id": "q", "tenant.id": "t"}, "hello")
    (only,) = rows(logs(made, resource={"service.name": "svc", "deployment.environment": "dev"}), table="logs")
    named = [only[key] for key in ("session_id", "user_id", "request_id", "tenant", "service_name", "environment")]
    assert named == ["s", "u", "q", "t", "svc", "dev"]
    assert only["body"] == "hello"


@pytest.mark.parametrize(
    ("sent", "attribute", "body", "expected"),
    [
        ("gen_ai.evaluation.result", None, None, "gen_ai.evaluation.result"),
        ("event otel/src/events.rs:87", "codex.user_prompt", None, "codex.user_prompt"),
        ("", "api_request", "claude_code.api_request", "claude_code.api_request"),
        ("", None, "a sentence that names nothing", ""),
    ],
)
def test_event_name(sent: str, attribute: str | None, body: str | None, expected: str) -> None:
    """A place in the source is no name; a short name gives way to the long one in the body."""
    made = record({"event.name": attribute} if attribute else {}, body, sent)
    assert rows(logs(made), table="logs")[0]["event_name"] == expected


def test_log_time_is_the_first_that_is_set() -> None:
    """Event time, then observation, then a stamp among the attributes, then receipt; that last never for the key."""
    made = [
        record({}, time_unix_nano=START_NS, observed_time_unix_nano=1),
        record({}, observed_time_unix_nano=START_NS),
        record({"event.timestamp": "2026-05-28T20:26:40Z"}),
        record({}),
    ]
    table = Normaliser()([logs(*made)]).tables["logs"]
    assert table["time"].cast(pa.int64()).to_pylist() == [START_NS] * 3 + [RECEIVED_US * 1000]
    assert table["bucket"].cast(pa.int64()).to_pylist() == [START_NS // 10**9] * 3 + [0]


def test_a_body_broken_inside_is_kept_in_base64() -> None:
    """The door looks at the outermost value alone; what cannot be read further in is still not lost."""
    request = wire.parse("logs", logs(record({}, "x", time_unix_nano=START_NS)).body)
    broken = wire.AnyValue(array_value=b"\xff\xff").SerializeToString()
    request.resource_logs[0].scope_logs[0].log_records[0].body = broken
    (only,) = rows(RawRecord("logs", request.SerializeToString(), RECEIVED_US), table="logs")
    assert json.loads(only["body"]) == {UNREADABLE: base64.b64encode(broken).decode()}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*COMMON, "event.name", "event.timestamp"]) | st.text(max_size=5), st.text() | st.floats()
    ),
    st.none()
    | st.text()
    | st.floats()
    | st.binary()
    | st.dictionaries(st.sampled_from([*OWN]), st.floats() | st.text()),
    st.sampled_from(["", "tool.call"]),
    st.integers(-(2**31), 2**31 - 1),
)
def test_any_log_record_gives_one_row(attributes_: dict[str, Any], body: Any, event_name: str, severity: int) -> None:
    """In one table or the other, with every attribute of a plain record kept."""
    made = record(attributes_, body, event_name, severity_number=severity)
    found = Normaliser()([logs(made, scope="spanhouse.audit")])
    assert found.counts.audit_events + found.counts.logs == 1
    for only in found.tables["logs"].to_pylist():
        assert [key for key, _ in only["attributes"]] == list(attributes_)
