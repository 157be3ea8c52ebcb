"""A server that answers rubbish, or nothing, opens no gate and holds no run up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.agents import Flags, calls, says
from tests.support.otlp_sink import OtlpSink
from tests.support.records import complete_record

from spanhouse.client import Client
from spanhouse.control import ControlPoller, Flag
from spanhouse_runtime import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard.approval import ApprovalAnswer, ApprovalRequest
from spanhouse_runtime.people.server import ServerApprover
from spanhouse_runtime.policy import Decision, Policy, Rule
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel

HTML = b"<html><body>It works!</body></html>"
RUBBISH = {
    "a page": (200, "text/html", HTML),
    "a failure": (500, "text/plain", b"oops"),
    "half a document": (200, "application/json", b'{"flags": [{"id"'),
    "a list": (200, "application/json", b"[]"),
    "an empty object": (200, "application/json", b"{}"),
    "flags that are none": (200, "application/json", b'{"etag": "1", "flags": [7], "id": 7, "args_hash": 7}'),
    "nothing": (200, "application/json", b""),
}
ASKS = Policy(rules=(Rule(name="ask", tool="*", decision=Decision.ASK),))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers each request with the rubbish of this name, or drips."""
    told = RUBBISH.get(request.param)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, kind, body = told or (200, "application/json", b" " * 1_000)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            for byte in () if told else body:
                self.wfile.write(bytes([byte]))
                if over.wait(0.1):
                    return
            self.wfile.write(body if told else b"")

        do_GET = do_POST = do_DELETE = _any  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    over.set()
    running.shutdown()
    running.server_close()
    thread.join()


def work() -> str:
    """Work."""
    return "done"


def ran(**settings: object) -> RunResult:
    return Agent("careful", ScriptedModel([calls("work"), says("done")]), [work], **settings).run("Work.")  # type: ignore[arg-type]


@pytest.mark.parametrize("server", [*RUBBISH, "drips"], indirect=True)
def test_control_that_answers_rubbish_is_control_that_was_not_heard(sink: OtlpSink, server: str) -> None:
    with ControlPoller(Client(server, token=""), cache="", retry=0.05) as poller:
        result = ran(control=Control(poller, first_seconds=0.3))
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "disabled:control"
    assert "work" not in result.tools


@pytest.mark.parametrize("server", RUBBISH, indirect=True)
def test_a_question_to_a_server_that_answers_rubbish_is_a_refusal(sink: OtlpSink, server: str) -> None:
    result = ran(policy=ASKS, approver=ServerApprover(Client(server, token="")))
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "approval_denied:work"
    (denied,) = [event for event in sink.audit if event.event_name == "approval.denied"]
    assert "could not be put" in denied.data["reason"] or "about another question" in denied.data["reason"]


class Odd:
    """An approver that takes every question and answers it in its own way."""

    def __init__(self, answer: object, *, hangs: bool = False) -> None:
        self.said, self.hangs = answer, hangs

    def ask(self, request: ApprovalRequest) -> str:
        """Take the question."""
        return request.tool

    def answer(self, approval_id: str) -> ApprovalAnswer | None:  # noqa: ARG002 - the protocol's
        """Answer, or never come back."""
        if self.hangs:
            time.sleep(30)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said  # type: ignore[return-value]

    def withdraw(self, approval_id: str) -> None:
        """Fail, or never come back."""
        if self.hangs:
            time.sleep(30)
        raise KeyError(approval_id)


@pytest.mark.parametrize("answer", [KeyError("state"), ValueError("rubbish"), "yes", {"approved": True}])
def test_an_answer_that_cannot_be_read_is_no_consent(sink: OtlpSink, answer: object) -> None:
    result = ran(policy=ASKS, approver=Odd(answer))
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "approval_denied:work"


def test_an_approver_that_never_comes_back_holds_up_no_operators_stop(sink: OtlpSink) -> None:
    flags = Flags()
    stop = Flag(id="1", action="stop", scope="all", by="ada")
    timer = threading.Timer(0.3, lambda: flags.flags.append(stop))
    timer.start()
    began = time.monotonic()
    result = ran(policy=ASKS, approver=Odd(None, hangs=True), control=Control(flags))
    timer.join()
    assert time.monotonic() - began < 2.0 + 0.3  # what is promised of a stop, from when it was said
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "operator_kill"


@pytest.mark.parametrize("server", ["drips"], indirect=True)
def test_a_server_that_drips_holds_up_no_operators_stop(sink: OtlpSink, server: str) -> None:
    flags = Flags()
    stop = Flag(id="1", action="stop", scope="all", by="ada")
    timer = threading.Timer(0.3, lambda: flags.flags.append(stop))
    timer.start()
    began = time.monotonic()
    result = ran(policy=ASKS, approver=ServerApprover(Client(server, token="")), control=Control(flags))
    timer.join()
    assert time.monotonic() - began < 2.0 + 0.3
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "operator_kill"
