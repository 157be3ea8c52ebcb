"""Builds the way from records to the server: deliveries, the disk buffer where there is one, and what ties them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from spanhouse.bodies import halve_logs, halve_spans
from spanhouse.delivery import Delivery
from spanhouse.logs import Logs
from spanhouse.notices import warn_once
from spanhouse.outbox import AuditOnDisk, InMemory, Keeper, OnDisk, Written
from spanhouse.processors import log_size, span_size
from spanhouse.recovery import Recovery
from spanhouse.settings import Settings
from spanhouse.spool.directory import AUDIT, LOGS, SPANS, Spool
from spanhouse.spool.home import Owner, fingerprint
from spanhouse.transport import Transport
from spanhouse.workers import finish_with_worker


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The way out of the process.

    Attributes:
        spans, logs: take records.
        transports: of traces and logs.
        spool: the disk buffer; None where records wait in memory alone.
        recovery: ships what earlier processes left in it.
    """

    spans: Delivery[ReadableSpan]
    logs: Logs
    transports: tuple[Transport, Transport]
    spool: Spool | None = None
    recovery: Recovery | None = None


def pipeline(settings: Settings, finish: Callable[[], None]) -> Pipeline:
    """Return the way out for these settings. A disk that cannot be written to is warned of, and done without.

    Args:
        settings: what ``init`` was told.
        finish: called when a worker process ends of its own accord.
    """
    transports = Transport("traces", settings.traces), Transport("logs", settings.logs)
    spool = _spool(settings)
    if spool is None:
        spans = _spans(InMemory(_encoded_spans), transports[0])
        logs = _logs(InMemory(_encoded_logs), transports[1])
        spans.on_start = logs.on_start = partial(finish_with_worker, finish)
        return Pipeline(spans, Logs(logs), transports)
    streams = spool.streams
    spans = _spans(OnDisk(_encoded_spans, streams[SPANS], spool.trim), transports[0])
    plain = _logs(OnDisk(_encoded_logs, streams[LOGS], spool.trim), transports[1])
    disk = AuditOnDisk(streams[AUDIT], spool.trim)
    audit = Delivery("logs", keep=disk, send=transports[1].send, size=_written_size, halve=halve_logs)
    recovery = Recovery(spool, {SPANS: spans, LOGS: plain, AUDIT: audit})

    def on_start() -> None:
        recovery.start()
        finish_with_worker(finish)

    for delivery, name in ((spans, SPANS), (plain, LOGS), (audit, AUDIT)):
        streams[name].on_drop = delivery.dropped
        delivery.on_start = on_start
    return Pipeline(spans, Logs(plain, audit, disk), transports, spool, recovery)


def _spans(keep: Keeper[ReadableSpan], transport: Transport) -> Delivery[ReadableSpan]:
    return Delivery("spans", keep=keep, send=transport.send, size=span_size, halve=halve_spans)


def _logs(keep: Keeper[ReadableLogRecord], transport: Transport) -> Delivery[ReadableLogRecord]:
    return Delivery("logs", keep=keep, send=transport.send, size=log_size, halve=halve_logs)


def _spool(settings: Settings) -> Spool | None:
    if settings.spool is None:
        return None
    owner = Owner(
        traces=settings.traces.url,
        logs=settings.logs.url,
        service=settings.service,
        tenant=settings.tenant,
        environment=settings.environment,
        credentials=fingerprint(settings.traces.headers, settings.logs.headers),
    )
    spool = Spool(settings.spool, owner, settings.spool_bytes)
    try:
        spool.check()
    except OSError as error:
        warn_once(
            "no-spool",
            f"no disk buffer: {settings.spool} cannot be used ({error}). Records wait in memory and end with the"
            " process; name a directory that can be written to in SPANHOUSE_SPOOL, or leave it empty to have none",
        )
        return None
    return spool


def _encoded_spans(batch: Sequence[ReadableSpan]) -> bytes:
    return bytes(encode_spans(batch).SerializeToString())


def _encoded_logs(batch: Sequence[ReadableLogRecord]) -> bytes:
    return bytes(encode_logs(batch).SerializeToString())


def _written_size(event: Written) -> int:
    return len(event.payload)
