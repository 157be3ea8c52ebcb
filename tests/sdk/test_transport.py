"""What one answer of the far end means for a batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from tests.support.api_stub import ApiStub, Reply

from spanhouse.settings import Endpoint, is_loopback
from spanhouse.transport import Answer, Transport, Verdict

PROTOBUF = "application/x-protobuf"


@pytest.fixture
def stub() -> Iterator[ApiStub]:
    """A running server to script."""
    with ApiStub() as running:
        yield running


def answer_to(stub: ApiStub, reply: Reply) -> Answer:
    """Return what a transport makes of one reply."""
    stub.reply("/v1/logs", reply)
    transport = Transport("logs", Endpoint(f"{stub.url}/v1/logs"))
    try:
        return transport.send(b"body")
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.TAKEN),
        (202, Verdict.TAKEN),
        (302, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (408, Verdict.RETRY),
        (413, Verdict.SPLIT),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
def test_the_status_decides(stub: ApiStub, status: int, verdict: Verdict) -> None:
    """What may pass later is tried again, a 500 included; what cannot is given up; a redirect stores nothing."""
    answer = answer_to(stub, Reply(status, b"", PROTOBUF))
    assert answer.verdict is verdict
    assert (answer.reason == "") is (verdict is Verdict.TAKEN)


def test_partial_success_is_read(stub: ApiStub) -> None:
    """The server says how many records it left out, and why."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 2
    response.partial_success.error_message = "too old"
    reply = Reply(200, response.SerializeToString(), PROTOBUF)
    assert answer_to(stub, reply) == Answer(Verdict.TAKEN, rejected=2, reason="too old")


def test_a_web_page_is_no_acknowledgement(stub: ApiStub) -> None:
    """A wrong URL often leads to something that says 200 to everything."""
    answer = answer_to(stub, Reply(200, b"<html>", "text/html; charset=utf-8"))
    assert answer.verdict is Verdict.REFUSED
    assert "no OTLP server" in answer.reason


def test_an_answer_cut_short_is_an_acknowledgement(stub: ApiStub) -> None:
    """The batch was taken; sending it again would only store it twice elsewhere."""
    assert answer_to(stub, Reply(200, b"\x0a\xff", PROTOBUF)) == Answer(Verdict.TAKEN)


def test_missing_tls_files_are_named_and_waited_for() -> None:
    """A certificate that is not there yet is no reason to throw records away."""
    url = "https://127.0.0.1:9/v1/logs"
    transport = Transport("logs", Endpoint(url, certificate="/nowhere/ca.pem", client_certificate="/nowhere/c.pem"))
    answer = transport.send(b"body")
    assert answer.verdict is Verdict.RETRY
    assert url in answer.reason
    assert "/nowhere/ca.pem" in answer.reason


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:4318", True),
        ("http://127.8.8.8", True),
        ("https://localhost/x", True),
        ("http://[::1]:1", True),
        ("http://127.example.com", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, *, local: bool) -> None:
    """Neither proxies nor stored credentials come between an agent and the server beside it."""
    assert is_loopback(url) is local
