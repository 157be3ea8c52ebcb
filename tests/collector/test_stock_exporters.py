"""What opentelemetry-python's own exporters send, over HTTP and gRPC, arrives whole in a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.collector_server import pipeline_of, running, served
from tests.support.grpc_server import grpc_served
from tests.support.metric_requests import every_kind

from spanhouse_collector.pipeline import Pipeline
from spanhouse_storage import Store, migrate, open_store

RESOURCE = Resource.create({"service.name": "shop"})


@dataclass(frozen=True)
class Collector:
    """Where to send, and what came of it."""

    http: str
    grpc: str
    pipeline: Pipeline
    store: Store

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows that came since the last call."""
        assert self.pipeline.drain(60)
        found: list[dict[str, Any]] = self.store.query(f"SELECT * FROM {table} FINAL").to_pylist()
        self.store.execute(f"TRUNCATE TABLE {table}")
        return found


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    path = tmp_path_factory.mktemp("stock")
    store = open_store(path / "store")
    migrate(store)
    try:
        with (
            running(pipeline_of(store, path / "journal")) as pipeline,
            served(pipeline) as http,
            grpc_served(pipeline) as grpc,
        ):
            yield Collector(str(http.base_url), grpc, pipeline, store)
    finally:
        store.close()


def exporters(collector: Collector, protocol: str) -> tuple[Any, Any, Any]:
    """Return the span, log and metric exporters of a protocol, as a user would make them."""
    if protocol == "gRPC":
        to: dict[str, Any] = {"endpoint": collector.grpc, "insecure": True}
        return GrpcSpans(**to), GrpcLogs(**to), GrpcMetrics(**to)
    base = collector.http.rstrip("/") + ("/api/public/otel" if protocol == "HTTP at another base" else "")
    gzip: dict[str, Any] = {"compression": Compression.Gzip}
    return (
        HttpSpans(f"{base}/v1/traces", **gzip),
        HttpLogs(f"{base}/v1/logs", **gzip),
        HttpMetrics(f"{base}/v1/metrics", **gzip),
    )


protocols = pytest.mark.parametrize("protocol", ["HTTP", "HTTP at another base", "gRPC"])


@protocols
def test_spans_arrive(collector: Collector, protocol: str) -> None:
    spans, _, _ = exporters(collector, protocol)
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(spans))
    tracer = provider.get_tracer("lib", "1.2", schema_url="https://schema/scope")
    with tracer.start_as_current_span("invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}) as root:
        root.add_event("thought", {"n": 1})
        for number in range(600):
            with tracer.start_as_current_span(f"chat {number}", attributes={"n": number, "l": [1, 2]}):
                pass
    assert provider.force_flush()
    provider.shutdown()
    rows = collector.rows("spans")
    assert len({row["span_id"] for row in rows}) == len(rows) == 601
    (agent,) = (row for row in rows if row["name"] == "invoke_agent a")
    assert (agent["service_name"], agent["scope_name"], agent["scope_version"]) == ("shop", "lib", "1.2")
    assert '"thought"' in agent["events"]


@protocols
def test_log_records_arrive(collector: Collector, protocol: str) -> None:
    _, logs, _ = exporters(collector, protocol)
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(logs))
    provider.get_logger("lib").emit(
        severity_number=SeverityNumber.WARN, severity_text="WARN", body="it is late", attributes={"order": 7}
    )
    assert provider.force_flush()
    provider.shutdown()
    (row,) = collector.rows("logs")
    assert (row["body"], row["severity_text"], row["service_name"]) == ("it is late", "WARN", "shop")
    assert dict(row["attributes"])["order"] == "7"


@protocols
def test_metrics_of_every_instrument_arrive(collector: Collector, protocol: str) -> None:
    _, _, metrics = exporters(collector, protocol)
    view = View(instrument_type=Histogram, instrument_name="exp", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([PeriodicExportingMetricReader(metrics)], resource=RESOURCE, views=[view])
    meter = provider.get_meter("lib")
    meter.create_counter("calls").add(3, {"tool": "search"})
    meter.create_up_down_counter("depth").add(-2)
    meter.create_gauge("level").set(0.5)
    meter.create_histogram("duration").record(0.2)
    exponential = meter.create_histogram("exp")
    for value in (0.0, 1.5, 40.0):
        exponential.record(value)
    assert provider.force_flush()
    provider.shutdown()
    # A shutdown collects once more: cumulative points of a later time, which say the same and are not added up.
    rows = {row["name"]: row for row in collector.rows("metric_points")}
    assert {name: (row["type"], row["temporality"]) for name, row in rows.items()} == {
        "calls": ("sum", "cumulative"),
        "depth": ("sum", "cumulative"),
        "level": ("gauge", ""),
        "duration": ("histogram", "cumulative"),
        "exp": ("exponential_histogram", "cumulative"),
    }
    assert (rows["calls"]["int_value"], rows["calls"]["is_monotonic"]) == (3, True)
    assert (rows["depth"]["value"], rows["depth"]["is_monotonic"], rows["level"]["value"]) == (-2.0, False, 0.5)
    assert (rows["duration"]["count"], sum(rows["duration"]["bucket_counts"])) == (1, 1)
    assert (rows["exp"]["count"], rows["exp"]["zero_count"], sum(rows["exp"]["positive_counts"])) == (3, 1, 2)


def test_a_point_sent_again_is_stored_once(collector: Collector) -> None:

    for _ in range(3):
        body, headers = every_kind().SerializeToString(), {"content-type": "application/x-protobuf"}
        assert httpx.post(f"{collector.http}/v1/metrics", content=body, headers=headers).content == b""
        assert collector.pipeline.drain(30)
    assert len(collector.rows("metric_points")) == 6
