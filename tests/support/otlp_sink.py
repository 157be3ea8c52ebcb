"""A far end for telemetry: a real HTTP server on loopback that takes OTLP protobuf and answers as it is told."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True)
class Answer:
    """What the sink says to one request; after the told answers it says 200."""

    status: int = 200
    rejected: int = 0
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request as it came: path, headers with lower-case names, decompressed body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class SinkSpan:
    """A span the sink acknowledged, with plain values."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start: int
    end: int
    status: int
    status_message: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any]
    scope: str

    @property
    def pending(self) -> bool:
        """Whether this is the record sent when a run starts."""
        return bool(self.attributes.get("spanhouse.pending", False))


@dataclass(frozen=True)
class SinkLog:
    """A log record the sink acknowledged, with plain values."""

    event_name: str
    time: int
    attributes: dict[str, Any]
    body: Any
    trace_id: str
    span_id: str
    scope: str

    @property
    def data(self) -> dict[str, Any]:
        """An audit event's own fields."""
        decoded = json.loads(self.body)
        assert isinstance(decoded, dict)
        return decoded


@dataclass(frozen=True)
class SinkPoint:
    """A metric point the sink acknowledged."""

    name: str
    value: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


class OtlpSink:
    """Collects what is posted to ``/v1/traces`` and ``/v1/logs`` while the ``with`` block lasts.

    Attributes:
        url: base URL to give to ``spanhouse.init``.
        requests: every request that came, refused ones included.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._spans: list[SinkSpan] = []
        self._logs: list[SinkLog] = []
        self._points: list[SinkPoint] = []
        self._answers: deque[Answer] = deque()
        self._always: Answer | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def spans(self) -> list[SinkSpan]:
        """Finished spans, in the order they came; pending records are left out."""
        with self._lock:
            return [span for span in self._spans if not span.pending]

    @property
    def pending(self) -> list[SinkSpan]:
        """Pending records, in the order they came."""
        with self._lock:
            return [span for span in self._spans if span.pending]

    @property
    def logs(self) -> list[SinkLog]:
        """Log records, in the order they came."""
        with self._lock:
            return list(self._logs)

    @property
    def points(self) -> list[SinkPoint]:
        """Metric points, in the order they came."""
        with self._lock:
            return list(self._points)

    @property
    def audit(self) -> list[SinkLog]:
        """Audit events by their number in the run."""
        found = [log for log in self.logs if log.scope == "spanhouse.audit"]
        return sorted(found, key=lambda log: int(log.attributes["spanhouse.audit.seq"]))

    def logs_named(self, event_name: str) -> list[SinkLog]:
        """Return the log records of this event name, in the order they came."""
        return [log for log in self.logs if log.event_name == event_name]

    def span(self, name: str) -> SinkSpan:
        """Return the one finished span of this name."""
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}"
        return found[0]

    def answer(self, *answers: Answer) -> None:
        """Tell the sink what to say to the next requests, in order."""
        with self._lock:
            self._answers.extend(answers)

    def always(self, answer: Answer | None) -> None:
        """Tell the sink what to say to every request from now on; None goes back to 200."""
        with self._lock:
            self._always = answer

    def take(self, request: Request) -> tuple[Answer, bytes]:
        """Keep what one request holds, and return the answer and its body."""
        with self._lock:
            self.requests.append(request)
            answer = self._answers.popleft() if self._answers else self._always or Answer()
            taken = answer.status < 300 and not answer.rejected
            if request.path.endswith("/v1/traces"):
                if taken:
                    self._spans.extend(_spans(ExportTraceServiceRequest.FromString(request.body)))
                traces = ExportTraceServiceResponse()
                traces.partial_success.rejected_spans = answer.rejected
                traces.partial_success.error_message = answer.message
                return answer, traces.SerializeToString()
            if request.path.endswith("/v1/metrics"):
                if taken:
                    self._points.extend(_points(ExportMetricsServiceRequest.FromString(request.body)))
                return answer, b""
            if taken:
                self._logs.extend(_logs(ExportLogsServiceRequest.FromString(request.body)))
            logs = ExportLogsServiceResponse()
            logs.partial_success.rejected_log_records = answer.rejected
            logs.partial_success.error_message = answer.message
            return answer, logs.SerializeToString()


def _handler(sink: OtlpSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            body = _unpacked(raw, self.headers.get("content-encoding", ""))
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer, response = sink.take(Request(self.path, headers, body))
            self.send_response(answer.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(response)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the test's output clean."""

    return Handler


def _unpacked(raw: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(raw)
    return zlib.decompress(raw) if encoding == "deflate" else raw


def _spans(request: ExportTraceServiceRequest) -> list[SinkSpan]:
    return [
        SinkSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_span_id=span.parent_span_id.hex(),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            status=span.status.code,
            status_message=span.status.message,
            attributes=_plain(span.attributes),
            events=[(event.name, _plain(event.attributes)) for event in span.events],
            resource=_plain(resource.resource.attributes),
            scope=scope.scope.name,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _logs(request: ExportLogsServiceRequest) -> list[SinkLog]:
    return [
        SinkLog(
            event_name=record.event_name,
            time=record.time_unix_nano,
            attributes=_plain(record.attributes),
            body=_value(record.body),
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            scope=scope.scope.name,
        )
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def _points(request: ExportMetricsServiceRequest) -> list[SinkPoint]:
    return [
        SinkPoint(metric.name, point.as_double, _plain(point.attributes), _plain(resource.resource.attributes))
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in (*metric.gauge.data_points, *metric.sum.data_points)
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _plain(value.kvlist_value.values)
    return getattr(value, kind)
