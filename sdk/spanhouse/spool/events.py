"""Audit events as they stand in the spool: written before ``put`` returns, made OTLP by the worker.

Encoding protobuf takes longer than an agent should wait for each event; marshal takes a microsecond. Its format has not
changed in a way that older files could not be read since Python 3.4. It is no format for data of others: the checksum
keeps torn files from it, and who may write into the directory, whose mode is 0700, may run code as its owner anyway.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Sequence
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from spanhouse import attributes as keys

_VERSION: Final = 4


def header_of(resource: Resource, scope: InstrumentationScope | None) -> bytes:
    """Return what all events of one provider have in common."""
    named = None if scope is None else (scope.name, scope.version or "", scope.schema_url or "")
    return marshal.dumps((_plain(resource.attributes), resource.schema_url, named), _VERSION)


def event_of(record: ReadableLogRecord) -> bytes | None:
    """Return one log record without what the header says; None where it holds what marshal does not know."""
    log = record.log_record
    severity = log.severity_number
    fields: tuple[Any, ...] = (
        log.timestamp,
        log.observed_timestamp,
        None if severity is None else severity.value,
        log.severity_text,
        log.event_name,
        log.body,
        # A dict of its own: what OpenTelemetry keeps attributes in is none.
        dict(log.attributes or {}),
        log.trace_id,
        log.span_id,
        int(log.trace_flags or 0),
    )
    try:
        return marshal.dumps(fields, _VERSION)
    except ValueError:
        return None


def body_of(header: bytes, events: Iterable[bytes]) -> bytes:
    """Return the OTLP request body that holds these events.

    Raises:
        ValueError: an event has no UTF-8 form or is none.
    """
    # A file whose beginning was damaged: the events say themselves whose they are.
    attributes, schema_url, named = marshal.loads(header) if header else ({}, "", (keys.AUDIT_SCOPE, "", ""))  # noqa: S302
    resource = Resource(attributes, schema_url)
    scope = None if named is None else InstrumentationScope(*named)
    records = [_record(marshal.loads(event), resource, scope) for event in events]  # noqa: S302 - the same
    return bytes(encode_logs(records).SerializeToString())


def bodies_of(header: bytes, events: Sequence[bytes]) -> tuple[bytes, int]:
    """Return the body that holds those of the events that have one, and how many have none."""
    try:
        return body_of(header, events), 0
    except Exception:  # noqa: BLE001 - whatever is odd about one event must not cost its neighbours
        if len(events) <= 1:
            return b"", len(events)
    middle = len(events) // 2
    first, second = bodies_of(header, events[:middle]), bodies_of(header, events[middle:])
    return first[0] + second[0], first[1] + second[1]


def _record(fields: Any, resource: Resource, scope: InstrumentationScope | None) -> ReadableLogRecord:  # noqa: ANN401
    time, observed, severity, text, name, body, attributes, trace_id, span_id, flags = fields
    log = LogRecord(
        timestamp=time,
        observed_timestamp=observed,
        severity_number=None if severity is None else SeverityNumber(severity),
        severity_text=text,
        event_name=name,
        body=body,
        attributes=attributes,
    )
    log.trace_id, log.span_id, log.trace_flags = trace_id, span_id, TraceFlags(flags)
    return ReadableLogRecord(log_record=log, resource=resource, instrumentation_scope=scope)


def _plain(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - a mapping of OpenTelemetry's own kind
    return {str(key): _known(value) for key, value in attributes.items()}


def _known(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    return list(value) if isinstance(value, tuple | list) else str(value)
