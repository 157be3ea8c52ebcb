"""The stock exporters of opentelemetry-python: every compression, sending again when told so, one connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.collector_server import MemorySink, pipeline_of, running, served
from tests.support.grpc_server import grpc_served

from spanhouse_collector.caller import Caller, CallerRefusedError
from spanhouse_collector.pipeline import Pipeline

TABLES = {"spans": "spans", "logs": "logs", "metrics": "metric_points"}
PLAIN = {"HTTP": Compression.NoCompression, "gRPC": grpc.Compression.NoCompression}
GZIP = {"HTTP": Compression.Gzip, "gRPC": grpc.Compression.Gzip}
DEFLATE = {"HTTP": Compression.Deflate, "gRPC": grpc.Compression.Deflate}


@dataclass
class Collector:
    """Where to send, what came of it, and how many requests are told to come back first."""

    http: str
    grpc: str
    pipeline: Pipeline
    sink: MemorySink
    refuse: list[int]
    asked: list[int] = field(default_factory=list)

    def names(self, signal: str) -> set[str]:
        assert self.pipeline.drain(60)
        return set(self.told(signal))

    def told(self, signal: str) -> list[str]:
        """Return the names of a signal's rows, one for each."""
        named = "body" if signal == "logs" else "name"
        tables = [rows for (table, _), rows in self.sink.inserts.items() if table == TABLES[signal]]
        return [str(each) for rows in tables for each in rows.column(named).to_pylist()]


@pytest.fixture
def collector(tmp_path: Any) -> Iterator[Collector]:
    refuse, asked, sink = [0], [0], MemorySink()

    def identify(_headers: object) -> Caller:
        asked[0] += 1
        if refuse[0]:
            refuse[0] -= 1
            msg = "the store is away"
            raise CallerRefusedError(msg, status=503, retry_after=1)
        return Caller()

    with (
        running(pipeline_of(sink, tmp_path / "journal")) as pipeline,
        served(pipeline, identify=identify) as http,
        grpc_served(pipeline, identify=identify) as address,
    ):
        yield Collector(str(http.base_url).rstrip("/"), address, pipeline, sink, refuse, asked)


def exporter(collector: Collector, signal: str, protocol: str, compression: Any, timeout: float = 20) -> Any:
    """Return the exporter of one signal, as a user would make it."""
    if protocol == "gRPC":
        made = {"spans": GrpcSpans, "logs": GrpcLogs, "metrics": GrpcMetrics}[signal]
        return made(endpoint=collector.grpc, insecure=True, compression=compression, timeout=timeout)
    of_http: dict[str, Callable[..., Any]] = {"spans": HttpSpans, "logs": HttpLogs, "metrics": HttpMetrics}
    path = "traces" if signal == "spans" else signal
    return of_http[signal](f"{collector.http}/v1/{path}", compression=compression, timeout=timeout)


def send(signal: str, made: Any, *names: str) -> None:
    """Send something by each of these names, each in a request of its own."""
    if signal == "spans":
        traces = TracerProvider()
        traces.add_span_processor(BatchSpanProcessor(made))
        for name in names:
            traces.get_tracer("t").start_span(name).end()
            assert traces.force_flush(60_000)
        traces.shutdown()
    elif signal == "logs":
        logs = LoggerProvider()
        logs.add_log_record_processor(BatchLogRecordProcessor(made))
        for name in names:
            logs.get_logger("t").emit(body=name)
            assert logs.force_flush(60_000)
        logs.shutdown()
    else:
        meters = MeterProvider([PeriodicExportingMetricReader(made, export_interval_millis=3_600_000)])
        for name in names:
            meters.get_meter("t").create_counter(name).add(1)
            assert meters.force_flush(60_000)
        meters.shutdown()


signals = pytest.mark.parametrize("signal", list(TABLES))
protocols = pytest.mark.parametrize("protocol", ["HTTP", "gRPC"])


@signals
@protocols
@pytest.mark.parametrize("compression", [PLAIN, GZIP, DEFLATE], ids=["plain", "gzip", "deflate"])
def test_every_compression_arrives(
    collector: Collector, signal: str, protocol: str, compression: dict[str, Any]
) -> None:
    send(signal, exporter(collector, signal, protocol, compression[protocol]), "one")
    assert collector.names(signal) == {"one"}


@signals
@protocols
def test_what_was_told_to_come_back_comes_back_and_is_stored_once(
    collector: Collector, signal: str, protocol: str
) -> None:
    """503 with Retry-After over HTTP, UNAVAILABLE with RetryInfo over gRPC: the exporter obeys, and nothing is lost."""
    collector.refuse[0] = 1
    send(signal, exporter(collector, signal, protocol, GZIP[protocol]), "patient")
    assert collector.asked[0] >= 2
    assert collector.names(signal) == {"patient"}
    if signal != "metrics":
        # Metrics are sent again at the end, as they are at every interval.
        assert collector.told(signal) == ["patient"]


class Doorman:
    """Passes connections on to a server and counts them."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._to)
            for source, target in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=self._pass, args=(source, target), daemon=True))
                self._threads[-1].start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        # The other direction may have ended both already.
        with suppress(OSError), source, target:
            while piece := source.recv(1 << 16):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@signals
def test_requests_follow_one_another_on_one_connection(collector: Collector, signal: str) -> None:
    host, port = collector.http.removeprefix("http://").split(":")
    door = Doorman(host, int(port))
    try:
        collector.http = f"http://127.0.0.1:{door.port}"
        send(signal, exporter(collector, signal, "HTTP", Compression.Gzip), "one", "two", "three")
    finally:
        door.close()
    assert collector.names(signal) >= {"one", "two", "three"}
    assert door.connections == 1
