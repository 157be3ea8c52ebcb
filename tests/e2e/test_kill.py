"""What was acknowledged survives kill -9 and is there once."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from tests.support.process import ServerProcess, free_port, pages, run_cli, spanhouse

from spanhouse_storage import open_store

pytestmark = pytest.mark.e2e


class Counting(SpanExporter):
    """The stock OTLP exporter, and the trace ids of the spans it had acknowledged."""

    def __init__(self, url: str) -> None:
        self._stock = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=2)
        self.acknowledged: list[str] = []

    def export(self, spans: object) -> SpanExportResult:
        """Send and note what was taken."""
        batch: list[ReadableSpan] = list(spans)  # type: ignore[call-overload] # the SDK's sequence
        result = self._stock.export(batch)
        if result is SpanExportResult.SUCCESS:
            self.acknowledged += [f"{span.context.span_id:016x}" for span in batch if span.context]
        return result

    def shutdown(self) -> None:
        """Close the stock exporter."""
        self._stock.shutdown()  # type: ignore[no-untyped-call] # the stock exporter has no types here


def _send_runs(url: str, seconds: float) -> list[str]:
    exporter = Counting(url)
    provider = TracerProvider(resource=Resource.create({"service.name": "crash-test"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("crash-test")
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        number += 1
        with tracer.start_as_current_span(
            "invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}
        ) as root:
            root.set_attribute("spanhouse.request_id", f"crash-{number}")
            with tracer.start_as_current_span(
                "execute_tool t", attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}
            ):
                pass
    provider.shutdown()
    return exporter.acknowledged


def _stored(data: Path) -> list[str]:
    store = open_store(data / "store")
    try:
        return [str(span) for span in store.query("SELECT span_id FROM spans FINAL")["span_id"].to_pylist()]
    finally:
        store.close()


def test_acknowledged_spans_survive_kill_and_are_stored_once(tmp_path: Path) -> None:
    """The stock exporter sends while the server is killed twice: every acknowledged span is there, and none twice."""
    acknowledged: list[str] = []
    with ServerProcess(tmp_path / "data") as server:
        for _ in range(2):
            sent: list[str] = []
            sender = threading.Thread(target=lambda out: out.extend(_send_runs(server.url, 1.5)), args=(sent,))
            sender.start()
            time.sleep(1.0)
            server.kill()
            sender.join()
            acknowledged += sent
            server.start()
        server.drain()
        counted = sum(run["spans_stored"] for run in pages(server, "/api/v1/runs", "runs"))
        server.stop()
    stored = _stored(server.data)
    assert len(acknowledged) > 20
    assert counted == len(stored)
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


def test_a_kill_during_import_loses_nothing_acknowledged_and_a_second_import_completes_it(tmp_path: Path) -> None:
    """The command says that it failed; what was taken is there once, and importing again gives every run once."""
    file = tmp_path / "runs.jsonl"
    lines = (
        {"run_id": f"r{n}", "source": "s", "model": "m", "success": True, "messages": _talk(n)} for n in range(1500)
    )
    file.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    with ServerProcess(tmp_path / "data") as server:
        importing = subprocess.Popen(
            spanhouse("import", str(file), "--url", server.url), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        while not server.get("/readyz")["pending_items"]:
            assert importing.poll() is None
        server.kill()
        assert importing.wait(60) == 1
        assert importing.stderr is not None
        assert b"can be reached" in importing.stderr.read()
        importing.stderr.close()
        server.start()
        server.drain()
        kept = [run["request_id"] for run in pages(server, "/api/v1/runs", "runs")]
        assert 0 < len(kept) == len(set(kept))
        server.cli("import", str(file))
        assert sorted(run["request_id"] for run in pages(server, "/api/v1/runs", "runs")) == sorted(
            f"r{n}" for n in range(1500)
        )


def _talk(number: int) -> list[dict[str, object]]:
    return [
        {"role": "user", "content": f"question {number} " + "x" * 2000},
        {"role": "assistant", "content": f"answer {number} " + "y" * 2000, "input_tokens": 5, "output_tokens": 2},
    ]


def test_a_second_process_on_the_directory_gets_one_plain_sentence(tmp_path: Path) -> None:
    """The second server ends with exit code 1 and one line that names the holder and what to do."""
    with ServerProcess(tmp_path / "data") as server:
        second = run_cli("up", "--http", f"127.0.0.1:{free_port()}", "--data", str(server.data), "--ui", "false")
        said = second.stderr.strip().splitlines()
        assert second.returncode == 1
        assert len(said) == 1, second.stderr
        assert str(server.process.pid) in said[0]
        assert "--url" in said[0] or "SPANHOUSE_" in said[0]


def test_a_taken_port_is_said_in_one_sentence_with_the_flag(tmp_path: Path) -> None:
    """The port is checked before the store is opened."""
    with ServerProcess(tmp_path / "data") as server:
        second = run_cli("up", "--http", f"127.0.0.1:{server.port}", "--data", str(tmp_path / "other"))
    assert second.returncode == 1
    assert "--http" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_ctrl_c_ends_the_server_cleanly(tmp_path: Path) -> None:
    """Exit code 0, and no traceback in what it printed."""
    with ServerProcess(tmp_path / "data", ui=True) as server:
        code = server.stop()
        assert code == 0
        assert "Traceback" not in server.log.read_text()
