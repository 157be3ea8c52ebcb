"""A sender speaks for its key's tenants alone: foreign claims are refused one by one, and never stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from tests.support import otlp_bodies as otlp
from tests.support.collector_server import MemorySink, pipeline_of, running, served

from spanhouse_collector import tenancy, wire
from spanhouse_collector.allowance import BURST_SECONDS, Allowance
from spanhouse_collector.caller import Caller, CallerRefusedError
from spanhouse_collector.check import check, remove
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord, Signal
from spanhouse_collector.verdict import Reason

ACME = Caller("acme", frozenset({"acme"}))
TWO = Caller("acme", frozenset({"acme", "beta"}))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def judged(record: RawRecord, caller: Caller) -> tuple[RawRecord, Any]:
    """Return what is left of a body for the journal, and the verdict on it."""
    request = wire.parse(record.signal, record.body)
    verdict = tenancy.judge(record.signal, request, caller, check(record.signal, request), record.body)
    assert verdict == tenancy.judge(record.signal, request, caller, check(record.signal, request))
    remove(record.signal, request, verdict)
    tenancy.fill_in(record.signal, request, caller)
    return RawRecord(record.signal, request.SerializeToString(), record.received_us, caller.tenant), verdict


def spans_of(caller: Caller, *spans: Any, resource: otlp.Attributes = ()) -> tuple[list[dict[str, Any]], Any]:
    """Return the rows that are stored of some spans, and the verdict."""
    kept, verdict = judged(otlp.traces(*spans, resource=resource), caller)
    return otlp.rows(kept), verdict


def test_a_foreign_claim_is_refused_alone_with_a_reason_and_a_way_out() -> None:
    rows, verdict = spans_of(
        ACME,
        otlp.span(number=1),
        otlp.span({"tenant.id": "globex"}, number=2),
        otlp.span({"tenant.id": "acme"}, number=3),
    )
    assert {(row["span_id"][-1], row["tenant"]) for row in rows} == {("1", "acme"), ("3", "acme")}
    assert (verdict.accepted, verdict.reasons) == (2, {Reason.TENANT: 1})
    assert "leave tenant.id out" in verdict.message


def test_a_resource_claims_for_all_its_records() -> None:
    rows, verdict = spans_of(ACME, otlp.span(number=1), otlp.span(number=2), resource={"tenant.id": "globex"})
    assert (rows, verdict.accepted, verdict.reasons) == ([], 0, {Reason.TENANT: 2})


def test_a_span_cannot_hide_its_resources_foreign_claim() -> None:
    """Whichever of the two would win, the key names only one of them."""
    rows, _ = spans_of(ACME, otlp.span({"tenant.id": "acme"}), resource={"tenant.id": "globex"})
    assert rows == []


def test_a_key_of_several_tenants_needs_a_claim() -> None:
    rows, verdict = spans_of(TWO, otlp.span(number=1), otlp.span({"tenant.id": "beta"}, number=2))
    assert [(row["span_id"][-1], row["tenant"]) for row in rows] == [("2", "beta")]
    assert verdict.reasons == {Reason.TENANT_MISSING: 1}
    assert "name one of them as tenant.id" in verdict.message


def test_a_key_of_all_tenants_may_claim_any_and_need_not() -> None:
    rows, verdict = spans_of(Caller(), otlp.span(number=1), otlp.span({"tenant.id": "globex"}, number=2))
    assert {row["tenant"] for row in rows} == {"default", "globex"}
    assert not verdict.rejections


def test_a_bad_id_and_a_foreign_claim_are_both_refused_and_counted_once() -> None:
    bad = otlp.span({"tenant.id": "globex"}, number=2, name="bad")
    bad.trace_id = b"short"
    rows, verdict = spans_of(ACME, otlp.span({"tenant.id": "x"}, number=1), bad, otlp.span(number=3))
    assert len(rows) == 1
    assert (verdict.accepted, len(verdict.rejections)) == (1, 2)
    assert verdict.reasons == {Reason.TENANT: 1, Reason.TRACE_ID_LENGTH: 1}


def test_log_records_are_judged_one_by_one() -> None:
    mine, foreign = LogRecord(body=otlp.value("mine")), LogRecord(body=otlp.value("foreign"))
    foreign.attributes.extend(otlp.attributes({"tenant.id": "globex"}))
    kept, verdict = judged(otlp.logs(mine, foreign), ACME)
    assert [(row["body"], row["tenant"]) for row in otlp.rows(kept, table="logs")] == [("mine", "acme")]
    assert verdict.reasons == {Reason.TENANT: 1}


def test_data_points_are_judged_one_by_one() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for tenant in ("acme", "globex", "acme"):
        attributes = otlp.attributes({"tenant.id": tenant})
        metric.sum.data_points.append(NumberDataPoint(time_unix_nano=1, as_int=1, attributes=attributes))
    kept, verdict = judged(RawRecord("metrics", request.SerializeToString(), 1), ACME)
    left = ExportMetricsServiceRequest.FromString(kept.body)
    points = left.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    assert [point.attributes[0].value.string_value for point in points] == ["acme", "acme"]
    assert (verdict.accepted, verdict.reasons) == (2, {Reason.TENANT: 1})


VALUES = st.one_of(
    st.sampled_from(["acme", "globex", "", '"acme"', '"globex"', " acme", "ACME", '["globex"]', "acme\0", "null"]),
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.lists(st.sampled_from(["acme", "globex", ""]), max_size=2),
    st.dictionaries(st.sampled_from(["tenant.id", "a"]), st.sampled_from(["acme", "globex"]), max_size=1),
)
PAIRS = st.lists(st.tuples(st.sampled_from(["tenant.id", "tenant.id", "tenant", "env", "x"]), VALUES), max_size=3)
NORMALISER = Normaliser()


@given(own=PAIRS, shared=PAIRS, as_log=st.booleans(), audit=st.booleans(), several=st.booleans())
def test_no_claim_however_written_stores_a_row_for_a_foreign_tenant(
    own: list[tuple[str, Any]], shared: list[tuple[str, Any]], *, as_log: bool, audit: bool, several: bool
) -> None:
    """The check and the normaliser read claims apart from one another; what the first lets in, the second agrees on."""
    caller = Caller("mine", frozenset({"acme", "mine"})) if several else ACME
    if as_log:
        record = LogRecord(body=otlp.value({"a": 1}), event_name="tool.call", time_unix_nano=1)
        record.attributes.extend(otlp.attributes([*own, ("spanhouse.audit.seq", 1)]))
        body = otlp.logs(record, scope="spanhouse.audit" if audit else "s", resource=shared)
    else:
        body = otlp.traces(otlp.span(own), resource=shared)
    kept, verdict = judged(body, caller)
    rows = [row for table in NORMALISER([kept]).tables.values() for row in table.to_pylist()]
    assert len(rows) == verdict.accepted
    assert {row["tenant"] for row in rows} <= set(caller.tenants or ())


@pytest.mark.parametrize(
    ("resource", "own", "environment"),
    [
        ({}, {}, "prod"),
        ({"deployment.environment": "staging"}, {}, "staging"),
        ({"env": "staging"}, {}, "staging"),
        ({"deployment.environment.name": ""}, {}, "prod"),
        ({}, {"deployment.environment.name": "dev"}, "dev"),
    ],
)
def test_the_keys_environment_is_that_of_records_that_name_none(
    resource: dict[str, str], own: dict[str, str], environment: str
) -> None:
    rows, _ = spans_of(Caller("acme", environment="prod"), otlp.span(own), resource=resource)
    assert [row["environment"] for row in rows] == [environment]


def test_an_allowance_lets_a_burst_through_then_the_rate_and_one_large_request_whole() -> None:
    clock = Clock()
    allowance = Allowance(10, 0, clock)
    allowance.spend(int(10 * BURST_SECONDS) - 1, 1 << 40)
    assert allowance.wait() == 0
    allowance.spend(51, 0)
    assert allowance.wait() == 5
    clock.now += 4.9
    assert allowance.wait() == 1
    clock.now += 0.2
    assert allowance.wait() == 0


def test_an_allowance_counts_bytes_by_themselves() -> None:
    clock = Clock()
    allowance = Allowance(0, 1000, clock)
    allowance.spend(10**9, int(1000 * BURST_SECONDS) + 2000)
    assert allowance.wait() == 2
    clock.now += 3600
    allowance.spend(0, int(1000 * BURST_SECONDS) + 1)
    assert allowance.wait() == 1


KEYS = {"acme-key": ACME, "two-key": TWO}


def identify(headers: Mapping[str, str]) -> Caller:
    """Know two keys; one that sends too much."""
    given = headers.get("authorization", "")
    if given == "busy":
        msg = "the tenant acme sends more than it may"
        raise CallerRefusedError(msg, status=429, retry_after=7)
    if given not in KEYS:
        msg = "no key"
        raise CallerRefusedError(msg)
    return KEYS[given]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a client and the sink behind the door."""
    sink = MemorySink()
    with (
        running(pipeline_of(sink, tmp_path_factory.mktemp("journal"))) as pipeline,
        served(pipeline, identify=identify) as client,
    ):
        yield client, sink, pipeline


def test_a_sender_is_told_which_records_are_foreign_and_its_neighbours_are_stored(door: Any) -> None:
    client, sink, pipeline = door
    body = otlp.traces(otlp.span(number=1), otlp.span({"tenant.id": "globex"}, number=2)).body
    response = client.post("/v1/traces", content=body, headers={"authorization": "acme-key"})
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (response.status_code, partial.rejected_spans) == (200, 1)
    assert Reason.TENANT.value in partial.error_message
    assert pipeline.drain(30)
    assert {(row["tenant"], row["span_id"][-1]) for row in sink.rows("spans")} == {("acme", "1")}


def test_json_is_judged_as_protobuf_is(door: Any) -> None:
    client, _, _ = door
    record = {"body": {"stringValue": "x"}, "attributes": [{"key": "tenant.id", "value": {"stringValue": "globex"}}]}
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    headers = {"authorization": "acme-key", "content-type": "application/json"}
    response = client.post("/v1/logs", content=json.dumps(body), headers=headers)
    assert response.json()["partialSuccess"]["rejectedLogRecords"] == "1"


def test_who_sends_too_much_is_told_when_to_come_back(door: Any) -> None:
    client, _, _ = door
    response = client.post("/v1/traces", content=b"", headers={"authorization": "busy"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


def test_what_was_sent_is_counted_even_where_it_cannot_be_read(door: Any, tmp_path: Path) -> None:
    client, _, _ = door
    clock = Clock()
    allowance = Allowance(1, 1, clock)
    KEYS["counted"] = Caller("acme", frozenset({"acme"}), allowance=allowance)
    bodies: dict[Signal, bytes] = {"traces": otlp.traces(*[otlp.span(number=n) for n in range(1, 31)]).body}
    assert client.post("/v1/traces", content=bodies["traces"], headers={"authorization": "counted"}).status_code == 200
    owed = allowance.wait()
    assert owed == len(bodies["traces"]) - BURST_SECONDS
    assert client.post("/v1/traces", content=b"\xff" * 50, headers={"authorization": "counted"}).status_code == 400
    assert allowance.wait() == owed + 50
