"""Log records of coding agents: one run whatever the order, the parting and the repetition they come in."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.otlp_bodies import RECEIVED_US, START_NS, TRACE_ID, attributes, logs, rows, value
from tests.support.recordings import RECORDINGS, Recording, records

from spanhouse_analysis import facts, frames
from spanhouse_collector.conventions import LOG_CONVENTIONS
from spanhouse_collector.conventions.agent_log import LogEvent
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord
from spanhouse_collector.wire import LogsRequest

NOW = datetime.fromtimestamp(RECEIVED_US / 1e6, UTC)
OWN = [recording for recording in RECORDINGS if recording.own and recording.logs is not None]
KEYS = (
    *("session.id", "conversation.id", "prompt.id", "prompt_id", "request_id", "tool_use_id", "call_id", "model"),
    *("duration_ms", "input_tokens", "input_token_count", "cache_read_tokens", "cost_usd", "success", "decision"),
    *("event.kind", "error", "arguments", "function_args", "http.response.status_code", "event.timestamp"),
)
NAMES = [
    f"{each.prefix}{name}"
    for each in LOG_CONVENTIONS
    for name in ("user_prompt", "api_request", "api_response", "sse_event", "tool_result", "tool_decision", "tool_call")
]
VALUES = (
    st.text(max_size=5)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.none()
    | st.booleans()
    | st.lists(st.text(), max_size=2)
)


def record(name: str, at: float = 0, **said: Any) -> LogRecord:
    """Return one event of Claude Code, ``at`` seconds after the start."""
    made = LogRecord(time_unix_nano=START_NS + int(at * 1e9))
    made.body.CopyFrom(value(f"claude_code.{name}"))
    shared = {"session.id": "s", "prompt.id": "p", "event.name": name}
    made.attributes.extend(attributes(shared | said))
    return made


def run_of(*bodies: RawRecord) -> dict[str, Any]:
    """Return the one run that the bodies become."""
    table = Normaliser()(bodies).tables["spans"]
    [run] = facts.compute(frames.from_table(table), NOW).runs.to_dicts()
    return run


def parted(body: bytes) -> list[bytes]:
    """Return a body for each of the log records in one."""
    found = []
    for under in LogsRequest.FromString(body).resource_logs:
        for scope in under.scope_logs:
            for message in scope.log_records:
                single = LogsRequest()
                one = single.resource_logs.add()
                one.resource.CopyFrom(under.resource)
                target = one.scope_logs.add()
                target.scope.CopyFrom(scope.scope)
                target.log_records.append(message)
                found.append(single.SerializeToString())
    return found


def table_of(batches: Sequence[Sequence[RawRecord]]) -> pl.DataFrame:
    """Return the span rows of batches normalised one after another, as the store keeps them: the newest of each."""
    normaliser = Normaliser()
    tables = [normaliser(list(batch)).tables["spans"] for batch in batches]
    return frames.from_table(pa.concat_tables(tables))


@pytest.mark.parametrize("recording", OWN, ids=lambda recording: recording.name)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_parting_and_repetition_change_nothing(recording: Recording, seed: int) -> None:
    """Records each alone, shuffled, some sent again, give the facts that one request with all of them gives."""
    whole = list(records(recording, RECEIVED_US))
    wanted = facts.compute(table_of([whole]), NOW)
    chosen = random.Random(seed)
    pieces = [
        RawRecord(each.signal, body, each.received_us, each.tenant)
        for each in whole
        for body in (parted(each.body) if each.signal == "logs" else [each.body])
    ]
    pieces += chosen.sample(pieces, len(pieces) // 2)
    chosen.shuffle(pieces)
    found = facts.compute(table_of([[piece] for piece in pieces]), NOW)
    assert found.runs.sort("run_id").equals(wanted.runs.sort("run_id"))
    assert found.steps.sort("run_id", "seq").equals(wanted.steps.sort("run_id", "seq"))


def test_a_request_and_its_retry_are_two_calls() -> None:
    """An attempt that failed counts beside the one that worked, and does not fail the run."""
    run = run_of(
        logs(
            record("user_prompt"),
            record("api_error", 1, model="m", error="Overloaded", status_code="529", request_id="r", attempt="1"),
            record("api_request", 2, model="m", input_tokens="5", output_tokens="3", request_id="r"),
        )
    )
    assert (run["model_calls"], run["model_errors"], run["stop_code"]) == (2, 1, "finish")


def test_a_run_whose_last_model_call_failed_says_why() -> None:
    """Nobody reports the end of such a run; its last call does."""
    error = record("api_error", 1, model="m", error="rate limit exceeded", status_code="429")
    run = run_of(logs(record("user_prompt"), error))
    assert (run["stop_reason"], run["status"]) == ("model_error:rate_limit", "ended")


def test_a_refused_tool_is_a_request_that_was_never_made() -> None:
    """The person's refusal is a denied tool call and an audit event with the tool and the decision."""
    body = logs(record("user_prompt"), record("tool_decision", 1, tool_name="Bash", tool_use_id="t", decision="reject"))
    run = run_of(body)
    assert (run["tool_requests"], run["tool_calls"], run["policy_denials"]) == (1, 0, 1)
    _, decided = sorted(rows(body, table="audit_events"), key=lambda event: event["time"])
    assert (decided["name"], decided["tool"], decided["decision"]) == ("permission", "Bash", "deny")
    assert decided["run_id"] == run["run_id"]


def test_a_run_lasts_from_its_prompt_to_its_last_record() -> None:
    """A record that comes later makes the run longer."""
    first = [record("user_prompt"), record("api_request", 3, model="m", request_id="a", output_tokens=1)]
    assert run_of(logs(*first))["run_seconds"] == 3
    assert run_of(logs(*first, record("tool_result", 8, tool_name="Read", tool_use_id="t")))["run_seconds"] == 8


def test_ids_of_the_model_provider_are_no_request_ids() -> None:
    """The agent's ``request_id`` names an answer of the model; a request id of one's own would find nothing by it."""
    body = logs(record("api_request", 1, model="m", request_id="req_1"), scope="com.anthropic.claude_code.events")
    [span] = rows(body)
    assert (span["request_id"], span["response_id"]) == ("", "req_1")
    assert rows(body, table="logs")[0]["request_id"] == ""


def test_a_record_within_a_trace_stays_there() -> None:
    """The trace a record names wins over the one made up from session and prompt."""
    made = record("api_request", 1, model="m", request_id="r")
    made.trace_id, made.span_id = TRACE_ID, (7).to_bytes(8)
    [span] = rows(logs(made))
    assert (span["trace_id"], span["parent_span_id"]) == (TRACE_ID.hex(), (7).to_bytes(8).hex())


def test_a_log_of_a_run_leads_to_it() -> None:
    """The record that is kept has the trace and the span of what it tells."""
    body = logs(record("tool_result", 1, tool_name="Read", tool_use_id="t"))
    [log], [span] = rows(body, table="logs"), rows(body)
    assert (log["trace_id"], log["span_id"]) == (span["trace_id"], span["span_id"])


def test_arguments_hash_as_the_sdk_hashes_them() -> None:
    """Equal calls are equal, whoever tells of them."""
    [one] = rows(logs(record("tool_result", tool_name="Read", tool_input='{"b": 1, "a": 2}')))
    [other] = rows(logs(record("tool_result", 1, tool_name="Read", tool_input='{"a":2,"b":1}')))
    assert one["args_hash"] == other["args_hash"] != ""


def test_a_record_without_a_session_is_kept_as_a_log_alone() -> None:
    """Nothing is made up where nobody says what the record belongs to."""
    found = Normaliser()([logs(record("api_request", 0, **{"session.id": ""}))])
    assert (found.tables["spans"].num_rows, found.tables["logs"].num_rows) == (0, 1)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(KEYS), VALUES), st.integers(0, 2**63))
def test_any_values_give_rows_that_fit(name: str, said: dict[str, Any], time: int) -> None:
    """Whatever stands in the attributes, a record is one log, at most one span, and never an error."""
    made = LogRecord(time_unix_nano=time, event_name=name, attributes=attributes(said))
    found = Normaliser()([logs(made)])
    assert found.tables["logs"].num_rows == 1
    assert found.tables["spans"].num_rows <= 1
    for table in found.tables.values():
        table.validate(full=True)
    facts.compute(frames.from_table(found.tables["spans"]), NOW)


def test_every_agents_reader_takes_an_event_it_does_not_know() -> None:
    """New events are kept as logs until somebody maps them."""
    for convention in LOG_CONVENTIONS:
        reading = convention.read(LogEvent(f"{convention.prefix}brand_new", {"session.id": "s"}, "0" * 32))
        assert (reading.call, reading.audit) == (None, None)


def test_an_evaluation_becomes_a_score() -> None:
    """By value or by label alone; the record's id is the score's."""
    made = LogRecord(time_unix_nano=START_NS, event_name="gen_ai.evaluation.result", trace_id=TRACE_ID)
    said = {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.label": "polite", "gen_ai.response.id": "r"}
    made.attributes.extend(attributes(said))
    [score] = rows(logs(made), table="scores")
    named = [score[key] for key in ("name", "value", "label", "trace_id", "response_id", "source")]
    assert named == ["tone", None, "polite", TRACE_ID.hex(), "r", "log"]


def test_messages_of_one_record_each_are_kept_for_their_span() -> None:
    """The legacy events carry one message in their body."""
    made = LogRecord(event_name="gen_ai.user.message", trace_id=TRACE_ID, span_id=(1).to_bytes(8))
    made.body.CopyFrom(value({"content": "hi"}))
    [said] = rows(logs(made), table="messages")
    assert json.loads(said["input"]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
