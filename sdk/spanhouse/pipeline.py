"""Builds the way from records to the server: deliveries, the disk buffer where there is one, and what ties them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from spanhouse.active import running
from spanhouse.bodies import halve_logs, halve_spans
from spanhouse.delivery import Delivery
from spanhouse.gauges import Gauges, Point
from spanhouse.logs import Logs
from spanhouse.notices import warn_once
from spanhouse.outbox import AuditOnDisk, InMemory, Keeper, OnDisk, Written
from spanhouse.processors import log_size, span_size
from spanhouse.queues import depths
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
        deliveries: all there are.
        transports: of traces and logs.
        spool: the disk buffer; None where records wait in memory alone.
        recovery: ships what earlier processes left in it.
        gauges: send how the process is doing; None where they are not wanted.
    """

    spans: Delivery[ReadableSpan]
    logs: Logs
    deliveries: tuple[Delivery[Any], ...]
    transports: tuple[Transport, ...]
    spool: Spool | None = None
    recovery: Recovery | None = None
    gauges: Gauges | None = None

    def start(self) -> None:
        """Start what works in the background besides the deliveries; does nothing where it does already."""
        if self.recovery is not None:
            self.recovery.start()
        if self.gauges is not None:
            self.gauges.start()


def pipeline(settings: Settings, finish: Callable[[], None], resource: Mapping[str, object]) -> Pipeline:
    """Return the way out for these settings. A disk that cannot be written to is warned of, and done without.

    Args:
        settings: what ``init`` was told.
        finish: called when a worker process ends of its own accord.
        resource: attributes of the process.
    """
    traces, plain = Transport("traces", settings.traces), Transport("logs", settings.logs)
    spool = _spool(settings)
    way_out = _in_memory(traces, plain) if spool is None else _on_disk(spool, traces, plain)
    gauges: Gauges | None = None
    if settings.metrics is not None:
        metrics = Transport("metrics", settings.metrics)
        gauges = Gauges(metrics.send, partial(_points, way_out.spans, way_out.logs), resource)
    way_out = replace(way_out, gauges=gauges)

    def on_start() -> None:
        way_out.start()
        finish_with_worker(finish)

    for delivery in way_out.deliveries:
        delivery.on_start = on_start
    return way_out


def _in_memory(traces: Transport, plain: Transport) -> Pipeline:
    spans = _spans(InMemory(_encoded_spans), traces)
    logs = _logs(InMemory(_encoded_logs), plain)
    return Pipeline(spans, Logs(logs), (spans, logs), (traces, plain))


def _on_disk(spool: Spool, traces: Transport, plain: Transport) -> Pipeline:
    streams = spool.streams
    spans = _spans(OnDisk(_encoded_spans, streams[SPANS], spool.trim), traces)
    logs = _logs(OnDisk(_encoded_logs, streams[LOGS], spool.trim), plain)
    disk = AuditOnDisk(streams[AUDIT], spool.trim)
    audit = Delivery("logs", keep=disk, send=plain.send, size=_written_size, halve=halve_logs)
    for delivery, name in ((spans, SPANS), (logs, LOGS), (audit, AUDIT)):
        streams[name].on_drop = delivery.dropped
    recovery = Recovery(spool, {SPANS: spans, LOGS: logs, AUDIT: audit})
    return Pipeline(spans, Logs(logs, audit, disk), (spans, logs, audit), (traces, plain), spool, recovery)


def _points(spans: Delivery[ReadableSpan], logs: Logs) -> Iterator[Point]:
    yield Point("spanhouse.runs.active", len(running), "{run}")
    for name, depth in depths():
        yield Point("spanhouse.queue.depth", depth, "{item}", {"queue": name})
    for signal, counts in (("spans", spans.counts()), ("logs", logs.counts())):
        yield Point("spanhouse.sdk.waiting", counts.waiting, "{record}", {"signal": signal})
        reasons = {**counts.reasons, **({"rejected": counts.rejected} if counts.rejected else {})}
        for reason, lost in reasons.items():
            yield Point("spanhouse.sdk.lost", lost, "{record}", {"signal": signal, "reason": reason}, total=True)


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
