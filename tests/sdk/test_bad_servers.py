"""A far end that misbehaves costs neither the agent nor what it recorded."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from tests.support.otlp_sink import Answer, OtlpSink

import spanhouse as sh
from spanhouse.settings import Endpoint
from spanhouse.transport import Transport, Verdict

Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that takes a request and then says what it is told to say."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with closing(connection):
                    try:
                        connection.recv(65536)
                        talk(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/logs"
        listening.shutdown(socket.SHUT_RDWR)


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n")
    stopped = threading.Event()
    for _ in range(200):
        connection.sendall(b"x")
        stopped.wait(0.02)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("talk", "verdict"),
    [
        (lambda connection: connection.sendall(b"rubbish\r\n\r\n"), Verdict.RETRY),
        (lambda _: None, Verdict.RETRY),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal"), Verdict.RETRY),
        (lambda connection: connection.sendall(b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"), Verdict.REFUSED),
        (_drip, Verdict.RETRY),
        (_endless, Verdict.TAKEN),
    ],
    ids=["rubbish", "nothing", "half", "status", "drip", "endless"],
)
def test_no_answer_hangs_or_fills_memory(talk: Talk, verdict: Verdict) -> None:
    """What is no acknowledgement is tried again; an answer has a bound in time and size."""
    with talking(talk) as url:
        transport = Transport("logs", Endpoint(url, timeout=0.5))
        assert transport.send(b"body").verdict is verdict
        transport.close()


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_server_in_trouble_gets_it_later(telemetry: OtlpSink, status: int) -> None:
    """Whatever it says meanwhile, each record is there in the end."""
    telemetry.answer(*[Answer(status)] * 3)
    with sh.run("refund") as run:
        run.event("decision", option="a")
    assert sh.flush(10)
    assert len(telemetry.audit) == 3
    assert len(telemetry.spans) == 1


def test_a_request_too_large_is_cut_until_it_fits(telemetry: OtlpSink) -> None:
    """413 for the whole and its first half: every span arrives by smaller requests, once each."""
    telemetry.always(Answer(503))
    with sh.run("refund"):
        for number in range(8):
            with sh.tool_call("look", {"n": number}):
                pass
    sh.flush(0.1)
    telemetry.answer(*[Answer(413)] * 2)
    telemetry.always(None)
    assert sh.flush(10)
    assert len({span.span_id for span in telemetry.spans}) == len(telemetry.spans) == 9
    assert sh.telemetry_loss()["spans"]["lost"] == 0


def test_an_application_that_sets_its_provider_later_loses_nothing(sink: OtlpSink) -> None:
    """OpenTelemetry takes one provider a process: ours came first, and spans of the application go through it."""
    script = """
import sys
import spanhouse as sh
sh.init("ours", url=sys.argv[1])
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
with sh.run("refund"), trace.get_tracer("app").start_as_current_span("inside"):
    pass
assert sh.flush()
"""
    subprocess.run([sys.executable, "-c", script, sink.url], check=True, timeout=60, stderr=subprocess.DEVNULL)
    assert sorted(span.name for span in sink.spans) == ["inside", "invoke_agent refund"]
