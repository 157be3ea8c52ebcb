"""Records small runs with the OpenTelemetry SDK, with fixed ids and times, as an instrumentation would send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode, set_span_in_context

START_NS = 1_780_000_000_000_000_000
SECOND = 1_000_000_000


class _Counted(IdGenerator):
    def __init__(self, seed: int) -> None:
        self._next = seed << 32

    def generate_span_id(self) -> int:
        self._next += 1
        return self._next

    def generate_trace_id(self) -> int:
        self._next += 1
        return self._next << 64 | self._next


class Recorder:
    """One recording: spans and log records of one service, times in seconds from its start."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        resource = Resource({"service.name": name})
        self._spans = InMemorySpanExporter()
        self._traces = TracerProvider(resource=resource, id_generator=_Counted(seed))
        self._traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self._records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self._logs = LoggerProvider(resource=resource)
        self._logs.add_log_record_processor(SimpleLogRecordProcessor(self._records))

    def span(
        self,
        scope: str,
        name: str,
        attributes: Mapping[str, Any],
        *,
        parent: Span | None = None,
        at: float = 0,
        seconds: float = 1,
        error: str | None = None,
        events: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Span:
        """Record one span and return it, to be the parent of others."""
        start = START_NS + int(at * SECOND)
        made = self._traces.get_tracer(scope).start_span(
            name,
            context=set_span_in_context(parent or INVALID_SPAN),
            attributes=dict(attributes),
            start_time=start,
            record_exception=False,
        )
        for event, said in (events or {}).items():
            made.add_event(event, dict(said), timestamp=start)
        if error is not None:
            made.set_status(Status(StatusCode.ERROR, error))
        made.end(start + int(seconds * SECOND))
        return made

    def log(
        self,
        scope: str,
        attributes: Mapping[str, Any],
        *,
        event_name: str | None = None,
        body: Any = None,
        at: float = 0,
        span: Span | None = None,
    ) -> None:
        """Record one log record, within a span where one is given."""
        self._logs.get_logger(scope).emit(
            LogRecord(
                timestamp=START_NS + int(at * SECOND),
                observed_timestamp=START_NS + int(at * SECOND),
                context=set_span_in_context(span or INVALID_SPAN),
                body=body,
                attributes=dict(attributes),
                event_name=event_name,
            )
        )

    def write(self, folder: Path, expected: Mapping[str, Any]) -> None:
        """Write the export requests and what the run must become."""
        spans, records = self._spans.get_finished_spans(), self._records.get_finished_logs()
        if spans:
            (folder / f"{self.name}.otlp.pb").write_bytes(encode_spans(spans).SerializeToString(deterministic=True))
        if records:
            body = encode_logs(records).SerializeToString(deterministic=True)
            (folder / f"{self.name}.logs.otlp.pb").write_bytes(body)
        text = json.dumps({"framework": self.name, **expected}, indent=1)
        (folder / f"{self.name}.expected.json").write_text(text + "\n")
