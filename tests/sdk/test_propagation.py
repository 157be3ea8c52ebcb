"""A run that goes on in another process is one trace and one run there too."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from tests.support.otlp_sink import OtlpSink
from tests.support.process import free_port

import spanhouse as sh
from spanhouse.audit.chain import verify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def service(sink: OtlpSink) -> Iterator[str]:
    """The base URL of a service in a process of its own that sends to the sink."""
    port = free_port()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.shop_service", sink.url, str(port)], cwd=ROOT, env=environ
    )
    try:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_sub_agent_in_another_process_joins_trace_run_and_request(telemetry: OtlpSink, service: str) -> None:
    """One trace, one run id, one request id on both sides; events are numbered and chained apart."""
    with sh.run("refund", request_id="R-7", tenant="acme") as run:
        run.event("decision", option="here")
        answer = httpx.get(service, headers={"authorization": "ours", **sh.inject()})
    assert sh.flush()
    assert answer.json() == {"run_id": run.run_id, "request_id": "R-7", "tenant": "acme", "budget": {}}
    assert answer.headers["x-request-id"] == "R-7"
    there, here = telemetry.span("invoke_agent lookup"), telemetry.span("invoke_agent refund")
    assert (there.trace_id, there.parent_span_id) == (here.trace_id, here.span_id)
    assert there.attributes["spanhouse.run_id"] == run.run_id
    assert "spanhouse.spans_expected" not in there.attributes
    events = {log.data["option"]: log.attributes for log in telemetry.logs_named("decision")}
    assert events["there"]["spanhouse.run_id"] == events["here"]["spanhouse.run_id"] == run.run_id
    assert events["there"]["spanhouse.audit.seq"] == 1
    stream = events["there"]["spanhouse.audit.stream"]
    assert stream not in {run.run_id, ""}
    assert "spanhouse.audit.stream" not in events["here"]


def test_a_stranger_can_choose_neither_run_nor_tenant(telemetry: OtlpSink, service: str) -> None:
    """Whatever headers a client sends: the tenant is its key's, and no trace is joined."""
    with sh.run("refund", request_id="R-7", tenant="acme") as run:
        forged = {"authorization": "customer", "tenant.id": "acme", **sh.inject()}
        answer = httpx.get(service, headers=forged).json()
    assert answer["tenant"] == "globex"
    assert answer["run_id"] != run.run_id
    assert answer["budget"] == {"max_usd": 0.5}
    assert telemetry.span("invoke_agent lookup").trace_id != run.trace_id


def test_a_request_id_is_taken_or_made(service: str) -> None:
    """A client's id comes back; where it has none, or one that is none, there is a new one."""
    assert httpx.get(service, headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    first, second = httpx.get(service), httpx.get(service, headers={"x-request-id": "no spaces"})
    assert len(first.headers["x-request-id"]) == 32
    assert second.headers["x-request-id"] not in {"no spaces", first.headers["x-request-id"]}
    assert first.json()["request_id"] == first.headers["x-request-id"]


def test_a_streamed_answer_is_inside_its_request_to_the_last_piece(telemetry: OtlpSink, service: str) -> None:
    """The run that makes the pieces knows its request, and ends when they do; so does one that the client leaves."""
    with httpx.stream("GET", f"{service}/stream", headers={"x-request-id": "S-1"}) as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
        assert answer.headers["x-request-id"] == "S-1"
    assert lines == [[number, "S-1", "S-1"] for number in range(3)]
    httpx.get(service)
    found = telemetry.span("invoke_agent stream")
    assert found.attributes["spanhouse.stop_reason"] == "finish"
    assert found.attributes["spanhouse.request_id"] == "S-1"


def test_the_same_keys_serve_mcp_messages() -> None:
    """`_meta` of a message over MCP carries what headers carry."""
    sh.init("shop", url="http://127.0.0.1:9")
    with sh.run("refund", request_id="R-1", tenant="acme") as run:
        meta = sh.inject({"progressToken": 1})
    assert set(meta) == {"progressToken", "traceparent", "baggage"}
    with sh.extract(meta, trusted=True), sh.run("sub") as sub:
        assert (sub.run_id, sub.trace_id, sub.request_id, sub.tenant) == (run.run_id, run.trace_id, "R-1", "acme")
    with sh.extract(meta), sh.run("sub") as stranger:
        assert stranger.trace_id == run.trace_id
        assert stranger.run_id != run.run_id
        assert stranger.request_id is None
    assert not trace.get_current_span().get_span_context().is_valid
    sh.shutdown(0)


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "rubbish", "baggage": "spanhouse.run_id=1"},
        {"baggage": "spanhouse.run_id=" + "a" * 32},
        {"traceparent": "00-" + "0" * 32 + "-" + "1" * 16 + "-01"},
        {},
    ],
)
def test_headers_that_are_none_join_nothing(headers: dict[str, str]) -> None:
    """A malformed trace context is a new trace, and never an error."""
    with sh.extract(headers, trusted=True), sh.run("refund", request_id="R-2") as run:
        assert run.request_id == "R-2"
        assert run.run_id != "a" * 32


def test_the_stream_of_a_sub_agent_is_a_chain_of_its_own(telemetry: OtlpSink) -> None:
    """What another process wrote is verified by itself."""
    with sh.run("outer", tenant="acme"):
        meta = sh.inject()
    with sh.extract(meta, trusted=True), sh.run("inner") as inner:
        inner.event("decision", option="a")
        inner.event("decision", option="b")
    assert sh.flush()
    logs = [log for log in telemetry.audit if "spanhouse.audit.stream" in log.attributes]
    stream = logs[0].attributes["spanhouse.audit.stream"]
    rows = [
        {
            "seq": log.attributes["spanhouse.audit.seq"],
            "name": log.event_name,
            "event_version": log.attributes["spanhouse.audit.version"],
            "time": f"{_rfc(log.time)}",
            "request_id": log.attributes.get("spanhouse.request_id"),
            "agent": log.attributes.get("gen_ai.agent.name"),
            "hash": log.attributes["spanhouse.audit.hash"],
            "prev_hash": log.attributes["spanhouse.audit.prev_hash"],
            "body_hash": log.attributes["spanhouse.audit.body_hash"],
            "data": log.data,
        }
        for log in logs
    ]
    verified = verify(stream, rows)
    assert (verified.flaw, verified.events) == (None, 2)


def _rfc(nanoseconds: int) -> str:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - for this alone

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat()
