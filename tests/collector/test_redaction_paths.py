"""A thousand planted secrets sent through every door of the real server: none in an answer, none in a file it keeps."""

from __future__ import annotations

import random
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.grpc_server import export
from tests.support.otlp_bodies import attributes, event, logs, span, traces, value
from tests.support.planted_secrets import KINDS, nested, planted
from tests.support.process import ServerProcess, free_port, pages

from spanhouse_storage import open_store
from spanhouse_storage.tables import SCHEMAS

EACH = 250
POLICY = """
default: {detectors: {jwt: hash, slack_token: drop}}
tenants: {early: {redact_before_journal: true}, shy: {capture_content: false}}
"""
TENANTS = ("default", "early", "shy")


class Planter:
    """Makes requests with secrets in them and remembers the secrets."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self._rng = random.Random(11)

    def text(self) -> str:
        """Return a text that holds a secret of the next kind."""
        secret, text = planted(self._rng, KINDS[len(self.secrets) % len(KINDS)])
        self.secrets.append(secret)
        return text if len(self.secrets) % 3 else nested(text)

    def traces(self, first: int) -> ExportTraceServiceRequest:
        """Return spans of all classes with secrets wherever text goes."""
        made = []
        for number in range(first, first + EACH // 5):
            shared = {"spanhouse.run_id": f"run-{number // 10}", "tenant.id": TENANTS[number % 3]}
            chat = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": self.text(), "note": [self.text()]}
            made.append(
                span(
                    {**shared, **chat},
                    number=number + 1,
                    name=f"chat {self.text()}",
                    events=[event("exception", {"exception.message": self.text()})],
                    status={"code": 2, "message": self.text()},
                )
            )
        return ExportTraceServiceRequest.FromString(traces(*made).body)

    def logs(self) -> ExportLogsServiceRequest:
        """Return plain log records and audit events."""
        audit = {"spanhouse.audit.version": 1, "spanhouse.run_id": "r"}
        plain = [
            LogRecord(body=value(self.text()), attributes=attributes({"a": self.text(), "tenant.id": TENANTS[n % 3]}))
            for n in range(EACH // 4)
        ]
        events = [
            LogRecord(
                event_name="decision",
                body=value({"why": self.text()}),
                attributes=attributes({**audit, "spanhouse.audit.seq": n, "spanhouse.request_id": self.text()}),
            )
            for n in range(EACH // 4)
        ]
        request = ExportLogsServiceRequest.FromString(logs(*plain).body)
        request.MergeFromString(logs(*events, scope="spanhouse.audit").body)
        return request

    def metrics(self) -> ExportMetricsServiceRequest:
        """Return points with secrets among their attributes."""
        request = ExportMetricsServiceRequest()
        scope = request.resource_metrics.add().scope_metrics.add()
        for number in range(10):
            metric = scope.metrics.add(name=f"m{number}", description=self.text())
            point = metric.gauge.data_points.add(as_int=1, time_unix_nano=1_790_000_000_000_000_000)
            point.attributes.extend(attributes({"a": self.text()}))
        return request


def answers(server: ServerProcess) -> str:
    """Return what the API says about everything, content included."""
    runs = pages(server, "/api/v1/runs", "runs")
    said: list[Any] = [runs, pages(server, "/api/v1/audit", "events"), server.get("/api/v1/facets")]
    for run in runs:
        said.append(server.get(f"/api/v1/runs/{run['run_id']}/spans", content="true", limit=500))
        said.append(server.get(f"/api/v1/runs/{run['run_id']}/steps"))
    assert len(runs) >= EACH // 50
    return str(said) + httpx.get(f"{server.url}/metrics").text


def test_of_a_thousand_secrets_none_is_answered_and_none_is_kept(tmp_path: Path) -> None:
    """HTTP with protobuf and JSON, gRPC; spans, logs, audit events, points; store, journal, scratch, state and log."""
    data, planter = tmp_path / "data", Planter()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    port = free_port()
    with ServerProcess(data, policy=str(policy), grpc=f"127.0.0.1:{port}") as server:
        json_traces = MessageToDict(planter.traces(0))
        for each in json_traces["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            # OTLP's JSON has ids in hex where protobuf's JSON has base64.
            each.update({name: b64decode(each[name]).hex() for name in ("traceId", "spanId")})
        httpx.post(f"{server.url}/v1/traces", json=json_traces).raise_for_status()
        protobuf = {"content-type": "application/x-protobuf"}
        for path, request in (
            ("traces", planter.traces(1000)),
            ("logs", planter.logs()),
            ("metrics", planter.metrics()),
        ):
            sent = httpx.post(f"{server.url}/v1/{path}", content=request.SerializeToString(), headers=protobuf)
            assert sent.is_success, sent.text
        export(f"127.0.0.1:{port}", planter.traces(2000).SerializeToString())
        export(f"127.0.0.1:{port}", planter.logs().SerializeToString(), "logs")
        server.drain()
        said = answers(server)
        assert server.stop() == 0
    assert len(planter.secrets) >= 1000
    assert [secret for secret in planter.secrets if secret in said] == []
    kept = b"".join(file.read_bytes() for file in [*data.rglob("*"), server.log] if file.is_file())
    assert [secret for secret in planter.secrets if secret.encode() in kept] == []
    store = open_store(data / "store")
    try:
        rows = "".join(str(store.query(f"SELECT * FROM {table}", {}).to_pylist()) for table in SCHEMAS)
    finally:
        store.close()
    assert [secret for secret in planter.secrets if secret in rows] == []
    assert rows.count("[REDACTED:") >= 1000
