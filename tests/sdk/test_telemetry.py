"""Setting telemetry up: where it goes, what it joins, and that it never harms the agent."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.otlp_sink import Answer, OtlpSink

import spanhouse as sh
from spanhouse import notices
from spanhouse.settings import base_url, endpoint


def test_flush_is_true_only_where_the_server_has_all(sink: OtlpSink) -> None:
    """A 503 is not an acknowledgement; the records follow when the server is back."""
    sh.init("shop", url=sink.url)
    sink.always(Answer(503))
    with sh.run("refund"):
        pass
    assert not sh.flush(0.1)
    assert sh.telemetry_loss()["spans"]["waiting"] == 2
    sink.always(None)
    assert sh.flush()
    assert sh.telemetry_loss()["spans"] == {"acknowledged": 2, "rejected": 0, "lost": 0, "waiting": 0}
    assert len(sink.spans) == 1


def test_partial_success_and_refusal_are_counted(sink: OtlpSink) -> None:
    """What the server left out or refused is in the loss counts, by signal."""
    sh.init("shop", url=sink.url)
    sink.always(Answer(200, rejected=1, message="span id is zero"))
    with sh.run("refund"):
        pass
    assert not sh.flush()
    assert sh.telemetry_loss()["spans"]["rejected"] >= 1
    sink.always(Answer(401))
    before = sh.telemetry_loss()["logs"]["lost"]
    with sh.run("refund"):
        pass
    assert not sh.flush()
    assert sh.telemetry_loss()["logs"]["lost"] == before + 2


def test_retry_after_is_heard(sink: OtlpSink) -> None:
    """A busy server's wish is no reason to lose the batch."""
    sh.init("shop", url=sink.url)
    sink.answer(Answer(429, headers={"retry-after": "0"}))
    with sh.run("refund"):
        pass
    assert sh.flush()
    assert len(sink.spans) == 1


@pytest.mark.parametrize("spool", [True, False])
def test_an_absent_server_harms_nothing_and_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, spool: bool
) -> None:
    """The agent goes on; one line a signal tells where nobody answers; what is on disk waits for the next start."""
    if not spool:
        monkeypatch.setenv("SPANHOUSE_SPOOL", "")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sh.init("shop", url=f"http://127.0.0.1:{port}")
    lines: list[str] = []
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with sh.run("refund") as run:
                run.outcome("success")
        for _ in range(600):
            assert not sh.flush(0.05)
            lines = [line for line in caplog.messages if f"127.0.0.1:{port}" in line]
            if len(lines) == 2:
                break
    assert sorted(line.split()[0] for line in lines) == ["logs", "spans"]
    sh.shutdown(0)
    left = {"lost": 0, "waiting": 6} if spool else {"lost": 6, "waiting": 0}
    assert sh.telemetry_loss()["spans"] == {"acknowledged": 0, "rejected": 0, **left}


def test_recording_before_init_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A forgotten init is said, not repeated for every call."""
    notices.forget()
    with caplog.at_level(logging.WARNING, "spanhouse"):
        for _ in range(3):
            with sh.run("refund"), sh.tool_call("look", {}):
                pass
    assert len([line for line in caplog.messages if "init() has not been called" in line]) == 1


def test_init_may_be_called_again(sink: OtlpSink) -> None:
    """Same arguments: nothing happens. Others: the first is flushed, and new runs go out under the new name."""
    sh.init("one", url=sink.url)
    sh.init("one", url=sink.url)
    with sh.run("first"):
        pass
    sh.init("two", url=sink.url)
    with sh.run("second"):
        pass
    assert sh.flush()
    assert sink.span("invoke_agent first").resource["service.name"] == "one"
    assert sink.span("invoke_agent second").resource["service.name"] == "two"


def test_compression_and_headers_follow_the_otlp_variables(sink: OtlpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every OpenTelemetry SDK honours is honoured here."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc,x-other=a%20b")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "deflate")
    sh.init("shop", headers={"X-Own": "1"})
    with sh.run("refund"):
        pass
    assert sh.flush()
    assert len(sink.spans) == 1
    assert len(sink.audit) == 2
    for request in sink.requests:
        expected = "gzip" if request.path == "/v1/traces" else "deflate"
        assert request.headers["content-encoding"] == expected
        assert (request.headers["x-key"], request.headers["x-other"], request.headers["x-own"]) == ("abc", "a b", "1")


def test_endpoints_are_resolved_by_precedence() -> None:
    """Argument, SPANHOUSE_URL, the signal's OTLP endpoint, the common one, the default."""
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318/", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=theirs"}
    own = {**otlp, "SPANHOUSE_URL": "http://house:1"}
    one = {**otlp, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces/path"}
    assert endpoint("traces", None, None, {}).url == "http://127.0.0.1:4318/v1/traces"
    assert endpoint("traces", None, None, otlp).url == "http://otel:4318/v1/traces"
    assert endpoint("traces", None, None, one).url == "http://traces/path"
    assert endpoint("logs", None, None, one).url == "http://otel:4318/v1/logs"
    assert endpoint("logs", None, None, own).url == "http://house:1/v1/logs"
    assert endpoint("logs", "http://arg:2/", None, own).url == "http://arg:2/v1/logs"


def test_credentials_of_another_endpoint_are_not_sent_to_ours() -> None:
    """OTLP headers belong to the OTLP endpoint, where one is named; else they are meant for us."""
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=k"}
    both = {**headers, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318"}
    assert endpoint("traces", "http://house:1", None, headers).headers == {"api-key": "k"}
    assert endpoint("traces", "http://house:1", None, both).headers == {}
    assert endpoint("traces", None, None, both).headers == {"api-key": "k"}


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT is 'soon'"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "-1"}, "seconds above 0"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "none, gzip or deflate"),
        ({"SPANHOUSE_URL": "localhost:4318"}, "'localhost:4318' is not one"),
    ],
)
def test_unusable_settings_are_named(variables: dict[str, str], complaint: str) -> None:
    """A setting that cannot work says which, its value and the fix, at once and not when a run ends."""
    with pytest.raises(sh.ConfigurationError, match=complaint):
        endpoint("traces", None, None, variables)


def test_base_url_has_no_trailing_slash() -> None:
    """Paths are joined to it as they are."""
    assert base_url("http://house:1/", {}) == "http://house:1"


def run_python(script: str, url: str, *options: str) -> str:
    """Run a script in a process of its own, as OpenTelemetry's providers can be set only once in one."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", script, url],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_existing_provider_is_joined(sink: OtlpSink) -> None:
    """The application keeps its provider, resource and exporter, which also sees our spans; we see its spans."""
    out = run_python(
        """
import sys
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
provider, exporter = TracerProvider(resource=Resource.create({"service.name": "theirs"})), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
import spanhouse as sh
sh.init("ours", url=sys.argv[1])
sh.init("ours again", url=sys.argv[1])
assert trace.get_tracer_provider() is provider
with sh.run("refund"):
    with trace.get_tracer("app").start_as_current_span("inside"):
        pass
with trace.get_tracer("app").start_as_current_span("outside"):
    pass
assert sh.flush()
print(*sorted(span.name for span in exporter.get_finished_spans()), sep=",")
""",
        sink.url,
    )
    assert out.strip() == "inside,invoke_agent refund,outside"
    assert sorted(span.name for span in sink.spans) == ["inside", "invoke_agent refund", "outside"]
    assert {span.resource["service.name"] for span in sink.spans} == {"theirs"}
    assert sink.span("inside").attributes["spanhouse.run_id"]
    assert "spanhouse.run_id" not in sink.span("outside").attributes


def test_the_end_of_the_process_flushes(sink: OtlpSink) -> None:
    """A script that just ends has sent everything."""
    run_python(
        """
import sys
import spanhouse as sh
sh.init("script", url=sys.argv[1])
with sh.run("refund"):
    pass
""",
        sink.url,
    )
    assert len(sink.spans) == 1
    assert [event.event_name for event in sink.audit] == ["run.start", "run.end"]


def test_an_unsampled_run_works_and_sends_no_spans(sink: OtlpSink) -> None:
    """An application that samples traces away keeps ids and control; nothing half is sent."""
    out = run_python(
        """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))
import spanhouse as sh
sh.init("ours", url=sys.argv[1])
with sh.run("refund") as run:
    with sh.tool_call("look", {}) as call:
        call.result(1)
sh.flush()
print(len(run.run_id), run.stop_reason)
""",
        sink.url,
    )
    assert out.split() == ["32", "finish"]
    assert sink.spans == sink.pending == []


def test_a_forked_worker_sends_over_a_connection_of_its_own(sink: OtlpSink) -> None:
    """Pre-forking servers set up first and fork then: parent and child both arrive, each record once."""
    run_python(
        """
import os, sys
import spanhouse as sh
sh.init("prefork", url=sys.argv[1])
with sh.run("before"):
    pass
assert sh.flush()
child = os.fork()
with sh.run("child" if child == 0 else "parent"):
    pass
assert sh.flush()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        sink.url,
        "-Wignore::DeprecationWarning",
    )
    assert sorted(span.name for span in sink.spans) == [f"invoke_agent {who}" for who in ("before", "child", "parent")]


def test_the_applications_own_flush_and_shutdown_send_ours(sink: OtlpSink) -> None:
    """Frameworks flush the provider they know; what we hold goes out with it."""
    run_python(
        """
import sys
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
traces, logs = TracerProvider(), LoggerProvider()
trace.set_tracer_provider(traces)
_logs.set_logger_provider(logs)
import spanhouse as sh
sh.init("ours", url=sys.argv[1])
with sh.run("refund"):
    pass
assert traces.force_flush() and logs.force_flush()
traces.shutdown()
logs.shutdown()
loss = sh.telemetry_loss()
assert (loss["spans"]["acknowledged"], loss["logs"]["acknowledged"]) == (2, 2), loss
""",
        sink.url,
    )
    assert len(sink.spans) == 1


def test_debug_logs_of_sending_are_not_sent(sink: OtlpSink) -> None:
    """An application that exports its debug logs must not get a log for each request that carries logs."""
    run_python(
        """
import logging, sys
import spanhouse as sh
sh.init("ours", url=sys.argv[1])
from opentelemetry.sdk._logs import LoggingHandler
logging.getLogger().addHandler(LoggingHandler())
logging.getLogger().setLevel(logging.DEBUG)
logging.getLogger("app").info("hello")
assert sh.flush()
assert sh.flush()
""",
        sink.url,
        "-Wignore::DeprecationWarning",
    )
    assert [log.body for log in sink.logs] == ["hello"]
