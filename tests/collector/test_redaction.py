"""What is stored holds no secret and, where a tenant wants none, no content; everything else stays as it was."""

from __future__ import annotations

import gzip
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.otlp_bodies import attributes, event, logs, span, traces, value
from tests.support.planted_secrets import KINDS, nested, planted

from spanhouse.redaction import redact
from spanhouse_collector.dead_letters import DeadLetters
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.policy import Policy, read
from spanhouse_collector.records import Normalised, RawRecord
from spanhouse_collector.redaction.guard import BeforeJournal, BeforeStore
from spanhouse_collector.redaction.settings import MASKED, Redaction
from spanhouse_collector.segment import Entry, Position
from spanhouse_storage.payload import restored

CORPUS = Path(__file__).parents[2].parent / "shared" / "data"
PLACES = ("name", "attribute", "key", "list", "messages", "event", "link", "status", "resource", "scope", "session")


@dataclass
class Stored:
    """One span's row and what was counted."""

    row: dict[str, Any]
    found: dict[tuple[str, str], int]

    @property
    def attributes(self) -> dict[str, str]:
        return restored(dict(self.row["attributes"]), self.row)


def normalised(*records: RawRecord, policy: str = "") -> Normalised:
    """Return the redacted rows of some bodies under a policy."""
    return BeforeStore(Normaliser(), Redaction(read(policy), b"key"))(records)


def stored(given: dict[str, Any], policy: str = "", **fields: Any) -> Stored:
    """Return what is stored of one span."""
    found = normalised(traces(span(given, **fields)), policy=policy)
    (row,) = found.tables["spans"].to_pylist()
    return Stored(row, found.redacted)


def hidden_in(place: str, text: str) -> RawRecord:
    """Return a request with a text at one place of its span."""
    if place == "resource":
        return traces(span(), resource={"service.name": "s", "note": text})
    if place == "scope":
        return traces(span(), scope=f"lib {text}")
    made = {
        "name": lambda: span(name=f"call {text}"),
        "attribute": lambda: span({"note": nested(text)}),
        "key": lambda: span({f"k {text}": "v"}),
        "list": lambda: span({"gen_ai.response.finish_reasons": ["stop", text], "deep": {"a": [{"b": text}]}}),
        "messages": lambda: span(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}]),
                "gen_ai.output.messages": nested(text),
            }
        ),
        "event": lambda: span(events=[event("exception", {"exception.message": text}), event(text)]),
        "link": lambda: span(links=[{"trace_id": bytes(16), "attributes": attributes({"why": text})}]),
        "status": lambda: span(status={"code": 2, "message": text}),
        "session": lambda: span({"session.id": text, "user.id": text}),
    }
    return traces(made[place]())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_of_any_kind_is_stored_wherever_a_span_holds_it(place: str, kind: str) -> None:
    """Before the store always; before the journal too where that is asked for."""
    secret, text = planted(random.Random(f"{place} {kind}"), kind)
    record = hidden_in(place, text)
    found = normalised(record)
    for table in found.tables.values():
        table.validate(full=True)
        assert secret not in str(table.to_pylist())
    assert found.redacted["default", kind]
    earlier, taken = BeforeJournal(Redaction(read("default: {redact_before_journal: true}"), b"key"))(record)
    assert secret.encode() not in earlier.body
    assert taken["default", kind]


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_of_any_kind_is_stored_from_a_log_record(kind: str) -> None:
    """Body, attributes and the data of audit events."""
    secret, text = planted(random.Random(kind), kind)
    plain = LogRecord(body=value({"said": [text]}), severity_text=text, attributes=attributes({"a": text}))
    audited = LogRecord(
        body=value(json.dumps({"tool": "t", "why": text})),
        event_name="tool.call",
        attributes=attributes({"spanhouse.audit.seq": 1, "spanhouse.audit.version": 1, "spanhouse.run_id": "r"}),
    )
    found = normalised(logs(plain), logs(audited, scope="spanhouse.audit"))
    (log,), (audit,) = found.tables["logs"].to_pylist(), found.tables["audit_events"].to_pylist()
    assert secret not in str(log) + str(audit)
    assert json.loads(audit["data"])["tool"] == "t"
    assert dict(log["attributes"])["spanhouse.redacted"] == str(sum(found.redacted.values()) - 1)


def test_what_was_cut_out_is_counted_on_the_span_with_what_the_sdk_cut_out() -> None:
    """A reader of a span sees how much is missing."""
    secret, text = planted(random.Random(1), "openai_key")
    assert (
        stored({"a": text, "b": f"{secret} {secret}", "spanhouse.redacted": 2}).attributes["spanhouse.redacted"] == "5"
    )
    assert "spanhouse.redacted" not in stored({"a": "nothing"}).attributes


@pytest.mark.parametrize(
    "key", ["db.password", "http.request.header.authorization", "http.request.header.x-api-key", "clientSecret"]
)
def test_an_attribute_named_like_a_secret_keeps_no_value(key: str) -> None:
    """Whatever it looks like; numbers as well, but no truth values."""
    assert stored({key: "plain"}).attributes[key] == "[REDACTED:secret_field]"
    assert stored({key: ["plain"]}).attributes[key] == "[REDACTED:secret_field]"
    assert stored({key: False}).attributes[key] == "false"


def test_different_identities_stay_different() -> None:
    """A session id that looks like a card number leaves a hash, so two sessions never become one."""
    rng = random.Random(2)
    first, second = (planted(rng, "card")[0] for _ in range(2))
    ids = [stored({"session.id": each}).row["session_id"] for each in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]
    assert all(each.startswith("[REDACTED:card:") for each in ids)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "note", "x"]), st.text(max_size=40), max_size=3), max_size=4)
)
def test_rows_without_secrets_are_not_touched(spans: list[dict[str, str]]) -> None:
    """Redaction changes nothing where there is nothing to redact."""
    record = traces(*(span(each, number=number + 1) for number, each in enumerate(spans)))
    clean = {key: text for each in spans for key, text in each.items() if redact(text)[1]} == {}
    plain, guarded = Normaliser()([record]), normalised(record)
    assert (guarded.tables["spans"].equals(plain.tables["spans"])) is clean
    assert bool(guarded.redacted) is not clean


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        ("mask", "use [REDACTED:aws_key] now"),
        ("hash", r"use \[REDACTED:aws_key:[0-9a-f]{16}\] now"),
        ("drop", "[REDACTED:aws_key]"),
        ("off", "use AKIAIOSFODNN7EXAMPLE now"),
    ],
)
def test_each_mode_of_a_detector(mode: str, left: str) -> None:
    """Mask, keyed hash, the whole text, or nothing."""
    policy = f"default: {{detectors: {{aws_key: {mode}}}}}"
    said = stored({"note": "use AKIAIOSFODNN7EXAMPLE now"}, policy).attributes["note"]
    if mode == "hash":
        assert re.fullmatch(left, said)
    else:
        assert said == left


def test_hashes_join_under_one_key_and_say_nothing_under_another() -> None:
    """Equal values can be counted; without the key of this installation a guess cannot be checked."""
    policy = read("default: {detectors: {aws_key: hash}}")
    record = traces(span({"a": "AKIAIOSFODNN7EXAMPLE", "b": "x AKIAIOSFODNN7EXAMPLE y"}))
    values = []
    for key in (b"one", b"two"):
        (row,) = BeforeStore(Normaliser(), Redaction(policy, key))([record]).tables["spans"].to_pylist()
        values.append(dict(row["attributes"]))
    assert values[0]["a"] in values[0]["b"]
    assert values[0]["a"] != values[1]["a"]


def test_attribute_rules_reach_the_columns_an_attribute_feeds() -> None:
    """A user id that is hashed is hashed in ``user_id`` too, and joins; what is dropped is nowhere."""
    policy = "default: {attributes: {'user.*': hash, 'http.*': drop, note: mask}}"
    one, two, other = (
        stored({"user.id": user, "http.url": "u", "note": "n"}, policy) for user in ("ann", "ann", "bob")
    )
    assert one.row["user_id"] == two.row["user_id"] != other.row["user_id"]
    assert "ann" not in str(one.row)
    assert one.attributes["note"] == "[REDACTED:attribute]"
    assert "http.url" not in one.attributes
    assert one.found == {("default", "attribute"): 3}


def test_patterns_of_ones_own_are_cut_out_by_their_name() -> None:
    """A pattern sees each text for itself, so its anchors hold."""
    policy = "default: {patterns: {employee: {match: '^EMP-[0-9]{4}$'}, ticket: {match: 'TCK[0-9]+', mode: hash}}}"
    found = stored({"a": "EMP-1234", "b": "see EMP-1234", "c": "TCK1 and TCK22"}, policy).attributes
    assert found["a"] == "[REDACTED:employee]"
    assert found["b"] == "see EMP-1234"
    assert found["c"].startswith("[REDACTED:ticket:")
    assert "TCK" not in found["c"]


def test_every_record_follows_the_rules_of_its_own_tenant() -> None:
    """Tenants share a request and nothing else."""
    policy = "tenants: {acme: {detectors: {aws_key: off}}, shy: {capture_content: false}}"
    key = "AKIAIOSFODNN7EXAMPLE"
    spans = [
        span({"tenant.id": tenant, "a": key, "gen_ai.operation.name": "chat", "gen_ai.prompt": "hi"}, number=number)
        for number, tenant in enumerate(("acme", "shy", "else"), start=1)
    ]
    rows = {row["tenant"]: row for row in normalised(traces(*spans), policy=policy).tables["spans"].to_pylist()}
    assert {tenant: key in str(row) for tenant, row in rows.items()} == {"acme": True, "shy": False, "else": False}
    assert {tenant: row["input"] for tenant, row in rows.items()} == {"acme": "hi", "shy": "", "else": "hi"}
    assert {tenant: row["content_captured"] for tenant, row in rows.items()} == {
        "acme": True,
        "shy": False,
        "else": True,
    }


CONTENT = {
    "otel": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "t",
        "gen_ai.tool.call.arguments": '{"q": "SAID"}',
    },
    "openinference": {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "SAID",
        "input.value": "SAID",
    },
    "openllmetry": {
        "traceloop.span.kind": "tool",
        "traceloop.entity.input": '{"a": "SAID"}',
        "gen_ai.prompt.0.content": "SAID",
    },
    "mlflow": {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": '{"q": "SAID"}', "mlflow.spanOutputs": '"SAID"'},
    "langfuse": {"langfuse.observation.type": "generation", "langfuse.observation.input": "SAID"},
    "ai_sdk": {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "t", "ai.toolCall.args": '{"q": "SAID"}'},
    "long text of unknown name": {"something": "SAID " * 200},
}


@pytest.mark.parametrize("convention", CONTENT)
def test_without_capture_no_content_is_stored_whoever_sends_it(convention: str) -> None:
    """Columns are empty, sizes and the hash of arguments stay, and that nothing was captured is said."""
    off = "default: {capture_content: false}"
    events = [event("gen_ai.user.message", {"content": "SAID"}), event("exception", {"exception.type": "E"})]
    kept, bare = stored(CONTENT[convention], events=events), stored(CONTENT[convention], off, events=events)
    assert "SAID" in str(kept.row)
    assert "SAID" not in str(bare.row)
    assert not bare.row["content_captured"]
    assert bare.row["args_hash"] == kept.row["args_hash"]
    assert '"exception.type":"E"' in bare.row["events"]
    for column in ("input", "output"):
        size = len(kept.row[column].encode())
        assert bare.attributes.get(f"spanhouse.{column}.bytes", "0") == str(size)
    changing = {
        "input",
        "output",
        "events",
        "attributes",
        "content_captured",
        "system_instructions",
        "tool_definitions",
    }
    assert {name for name in kept.row if kept.row[name] != bare.row[name]} <= changing


def test_without_capture_log_events_keep_no_body() -> None:
    """Messages also come as log events; a plain log line of an application is no content."""
    said = LogRecord(event_name="gen_ai.user.message", body=value({"content": "SAID"}))
    line = LogRecord(body=value("cache warmed"))
    found = normalised(logs(said, line), policy="default: {capture_content: false}")
    bodies = {row["event_name"]: row for row in found.tables["logs"].to_pylist()}
    assert bodies[""]["body"] == "cache warmed"
    assert bodies["gen_ai.user.message"]["body"] == ""
    assert "SAID" not in str({name: table.to_pylist() for name, table in found.tables.items()})


def test_a_redacted_span_is_still_known_for_what_it_is() -> None:
    """Notes of the collector are no sign that Spanhouse's SDK sent a span, also when it is normalised again."""
    for notes in ({"spanhouse.redacted": 1}, {"spanhouse.input.bytes": "3", "spanhouse.content_captured": "false"}):
        row = stored({"openinference.span.kind": "LLM", **notes}).row
        assert row["convention"] == "openinference"
    assert not row["content_captured"]


def test_the_journal_holds_plain_bodies_of_tenants_that_do_not_mind() -> None:
    """Rewriting before the answer costs time, so only requests with a record of such a tenant pay for it."""
    early = BeforeJournal(Redaction(read("tenants: {shy: {redact_before_journal: true}}"), b"key"))
    text = "AKIAIOSFODNN7EXAMPLE"
    same = traces(span({"a": text}))
    assert early(same)[0] is same
    named = traces(span({"a": text, "tenant.id": "shy"}), span({"a": text}, number=2))
    assert text.encode() not in early(named)[0].body
    clean = traces(span({"a": "nothing", "tenant.id": "shy"}))
    assert early(clean)[0] is clean


def test_what_cannot_be_stored_is_set_aside_without_secrets_and_without_content_where_none_is_wanted(
    tmp_path: Path,
) -> None:
    """Dead letters are kept for people to look at: what may not be stored may not lie there either."""
    record = traces(span({"a": "AKIAIOSFODNN7EXAMPLE", "b": "words"}))
    entry = Entry(Position(1, 2), 100, 1, record.received_us)
    kept = DeadLetters(tmp_path / "kept", lambda: MASKED).set_aside(entry, record, "it holds AKIAIOSFODNN7EXAMPLE")
    assert b"words" in kept.read_bytes()
    off = Redaction(read("default: {capture_content: false}"), b"key")
    gone = DeadLetters(tmp_path / "gone", lambda: off).set_aside(entry, record, "why")
    assert gone.read_bytes() == b""
    assert "not kept" in gone.with_name(gone.name.replace(".otlp.pb", ".json")).read_text()
    assert not [file for file in tmp_path.rglob("*.*") if b"AKIAIOSFODNN7EXAMPLE" in file.read_bytes()]


def test_texts_of_published_runs_hold_next_to_nothing_that_looks_like_a_secret() -> None:
    """False hits stay under one in a hundred runs, and what is hit is no more than a few values of a run."""
    if not CORPUS.exists():
        pytest.skip("the published runs are not here")
    texts: list[str] = []
    for file in sorted(CORPUS.glob("*.jsonl.gz")):
        with gzip.open(file, "rt") as lines:
            texts += [line for line, _ in zip(lines, range(400), strict=False)]
    hits = [text for text in texts if redact(text)[1]]
    assert len(texts) > 500
    assert len(hits) < len(texts) / 100


def test_a_policy_is_one_value_over_the_pipe_to_the_decode_child() -> None:
    """What the child reads is what the file said."""
    said = Redaction(read("default: {detectors: {card: off}, patterns: {p: {match: 'x+'}}}"), b"\x00key")
    assert Redaction.from_json(json.loads(json.dumps(said.as_json()))) == said
    assert isinstance(said.policy, Policy)


def test_made_up_tenants_do_not_fill_the_metrics() -> None:
    """Counts go by tenant up to a bound; what is beyond it is counted together."""
    metrics = Metrics()
    for number in range(600):
        metrics.count_redacted({(f"t{number}", "jwt"): 1})
    samples = [each for each in next(iter(metrics.redacted.collect())).samples if each.name.endswith("_total")]
    assert len(samples) == 501
    assert sum(each.value for each in samples) == 600
