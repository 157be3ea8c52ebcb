"""Set up, flush and shut down the way telemetry takes out of the process.

Telemetry fails open: nothing here raises into the agent because a server is away, and what is lost is counted.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Literal
from weakref import WeakSet

from opentelemetry import _logs as otel_logs
from opentelemetry import trace as otel_trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanhouse import attributes as keys
from spanhouse import notices
from spanhouse.active import Telemetry, active, set_active
from spanhouse.delivery import Counts
from spanhouse.instrumenting import instrument_installed
from spanhouse.pipeline import pipeline
from spanhouse.processors import EXIT_DEADLINE, LogHandOver, SpanHandOver
from spanhouse.settings import Settings, endpoint
from spanhouse.spool.directory import cap_in, root_in

SCOPE = "spanhouse"
VERSION = version("spanhouse")

_last_counts = (Counts(), Counts())
_lock = threading.RLock()
_joined: WeakSet[object] = WeakSet()
"""Providers that carry our processors already."""
_made: WeakSet[object] = WeakSet()
"""Providers made here; one that is not among them belongs to the application and is joined."""


def init(
    service: str,
    *,
    url: str | None = None,
    environment: str | None = None,
    tenant: str | None = None,
    service_version: str | None = None,
    capture_content: bool = True,
    headers: Mapping[str, str] | None = None,
    process_metrics: bool = True,
    instrument: Literal["auto"] | None = None,
) -> None:
    """Start sending spans and audit events to a Spanhouse server, or to any OTLP/HTTP endpoint.

    An OpenTelemetry provider the process already has is joined, never replaced. A second call with other arguments
    takes the place of the first, which is flushed.

    Args:
        service: the service's name (``service.name``).
        url: base URL of the server; else ``SPANHOUSE_URL``, else the ``OTEL_EXPORTER_OTLP_*`` endpoint, else
            http://127.0.0.1:4318.
        environment: deployment environment, such as "production"; else ``SPANHOUSE_ENVIRONMENT``.
        tenant: whose data this is where a run does not say; else ``SPANHOUSE_TENANT``.
        service_version: the service's own version.
        capture_content: whether messages, arguments and results are sent. They are redacted first.
        headers: sent with every request, for example an API key.
        process_metrics: whether CPU, memory, runs in flight, queues and lost telemetry are sent every ten seconds.
        instrument: "auto" turns on the OpenTelemetry and OpenInference instrumentations that are installed; see
            ``spanhouse.instrument``.

    Raises:
        ConfigurationError: the URL or an ``OTEL_EXPORTER_OTLP_*`` variable cannot be used.
    """
    environ = os.environ
    settings = Settings(
        service=service,
        service_version=service_version or "",
        environment=environment or environ.get("SPANHOUSE_ENVIRONMENT", ""),
        tenant=tenant or environ.get("SPANHOUSE_TENANT", ""),
        capture_content=capture_content,
        traces=endpoint("traces", url, headers, environ),
        logs=endpoint("logs", url, headers, environ),
        metrics=endpoint("metrics", url, headers, environ) if process_metrics else None,
        spool=root_in(environ),
        spool_bytes=cap_in(environ),
    )
    with _lock:
        running = active()
        if running is not None and running.settings == settings:
            return
        shutdown()
        notices.forget()
        set_active(_start(settings))
    if instrument == "auto":
        instrument_installed()


def flush(deadline: float = 5.0) -> bool:
    """Send everything recorded so far; True where the server acknowledged all of it.

    Args:
        deadline: seconds to wait at most. Records not sent by then stay queued, or on disk.

    Returns:
        False also where a record was lost or rejected since the last flush: see ``telemetry_loss``.
    """
    telemetry = active()
    if telemetry is None:
        return False
    until = time.monotonic() + deadline
    if telemetry.pipeline.recovery is not None:
        telemetry.pipeline.recovery.look()
    spans = telemetry.spans.flush(deadline)
    logs = telemetry.logs.flush(max(0.0, until - time.monotonic()))
    return spans and logs


def shutdown(deadline: float = EXIT_DEADLINE) -> None:
    """Flush and stop; runs and calls afterwards are no longer recorded.

    Args:
        deadline: seconds to wait for the server at most; what is not sent by then stays on disk for the next start,
            or is lost and counted where there is no disk buffer.
    """
    global _last_counts  # noqa: PLW0603 - a process has one telemetry
    with _lock:
        telemetry = active()
        if telemetry is None:
            return
        set_active(None)
        until = time.monotonic() + deadline
        if telemetry.pipeline.gauges is not None:
            telemetry.pipeline.gauges.stop()
        if telemetry.pipeline.recovery is not None:
            telemetry.pipeline.recovery.stop()
        # Audit events first: they are few, and what is asked for when something went wrong.
        telemetry.logs.close(deadline)
        telemetry.spans.close(max(0.0, until - time.monotonic()))
        _last_counts = (telemetry.spans.counts(), telemetry.logs.counts())
        for transport in telemetry.pipeline.transports:
            transport.close()
        if telemetry.pipeline.spool is not None:
            telemetry.pipeline.spool.close()


def telemetry_loss() -> dict[str, dict[str, int]]:
    """Return what became of the records: ``{"spans": {...}, "logs": {...}}``.

    Each holds ``acknowledged``, ``rejected`` (the server left them out and said why), ``lost`` (never reached it) and
    ``waiting`` (still held), counted since ``init``; after ``shutdown`` the final counts.
    """
    telemetry = active()
    counts = _last_counts if telemetry is None else (telemetry.spans.counts(), telemetry.logs.counts())
    return {
        name: {
            "acknowledged": count.acknowledged,
            "rejected": count.rejected,
            "lost": count.lost,
            "waiting": count.waiting,
        }
        for name, count in zip(("spans", "logs"), counts, strict=True)
    }


def _start(settings: Settings) -> Telemetry:
    # The event models take a moment to load: better now than within the first run.
    importlib.import_module("spanhouse.audit.registry")
    resource = _resource(settings)
    way_out = pipeline(settings, shutdown, dict(resource.attributes))
    way_out.start()
    return Telemetry(
        settings=settings,
        tracer=_tracer_provider(resource).get_tracer(SCOPE, VERSION),
        audit=_logger_provider(resource).get_logger(keys.AUDIT_SCOPE, VERSION),
        spans=way_out.spans,
        logs=way_out.logs,
        pipeline=way_out,
    )


def _resource(settings: Settings) -> Resource:
    said = {
        keys.SERVICE_NAME: settings.service,
        keys.SERVICE_VERSION: settings.service_version,
        keys.ENVIRONMENT: settings.environment,
        # Spans and logs made outside any run belong to somebody too.
        keys.TENANT: settings.tenant,
    }
    return Resource.create({key: value for key, value in said.items() if value})


def _tracer_provider(resource: Resource) -> TracerProvider:
    found = otel_trace.get_tracer_provider()
    if isinstance(found, TracerProvider) and found not in _made:
        provider = found
    else:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if not isinstance(found, TracerProvider):
            otel_trace.set_tracer_provider(provider)
        _made.add(provider)
    if provider not in _joined:
        provider.add_span_processor(SpanHandOver())
        _joined.add(provider)
    return provider


def _logger_provider(resource: Resource) -> LoggerProvider:
    found = otel_logs.get_logger_provider()
    if isinstance(found, LoggerProvider) and found not in _made:
        provider = found
    else:
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        if not isinstance(found, LoggerProvider):
            otel_logs.set_logger_provider(provider)
        _made.add(provider)
    if provider not in _joined:
        provider.add_log_record_processor(LogHandOver())
        _joined.add(provider)
    return provider


atexit.register(shutdown)
