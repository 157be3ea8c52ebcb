"""Log records to rows: Spanhouse's audit events, and every other record kept whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from spanhouse import attributes as own
from spanhouse.canonical import canonical_json
from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import as_text, count, count32, name, number, parsed
from spanhouse_collector.normalise import times
from spanhouse_collector.normalise.accepted import accepted
from spanhouse_collector.normalise.attributes import UNREADABLE, Attributes, Entry
from spanhouse_collector.normalise.columns import Columns
from spanhouse_collector.normalise.contexts import Context, Contexts
from spanhouse_collector.normalise.derived import Derived
from spanhouse_collector.normalise.plan import read_columns
from spanhouse_collector.prices import Prices
from spanhouse_collector.records import RawRecord
from spanhouse_collector.wire import Value
from spanhouse_storage.derived import BODY_STRUCTURED, OF_LOGS
from spanhouse_storage.tables import SCHEMAS

CONTROL_STREAM: Final = "control"
"""Stream of audit events that belong to no run: what operators did."""

# Rust's tracing puts the place in the source where the event's name belongs.
_SOURCE_LINE: Final = re.compile(r"event .*\.rs:\d+")
_TEXT_COLUMNS: Final = ("tool", "args_hash", "decision", "status")
_JOINED: Final = frozenset({"request_id", "session_id", "user_id", "environment", "tenant"})
_UINT8_MAX: Final = 255
_UINT16_MAX: Final = 65_535
_STREAM_DIGITS: Final = 32
_TRACE_ID: Final = 16
_SPAN_ID: Final = 8


class Logs:
    """Turns log requests into rows of ``audit_events`` and ``logs``, and into what they tell beside."""

    def __init__(self, attributes: Attributes, contexts: Contexts, prices: Prices) -> None:
        self._attributes = attributes
        self._contexts = contexts
        self._prices = prices

    def tables(self, records: Sequence[RawRecord]) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
        """Return the rows of ``audit_events`` and ``logs``, one for each record, and beside them those they tell of.

        The latter are ``spans``, ``audit_events``, ``messages`` and ``scores``.
        """
        derived = Derived(self._prices)
        audit: list[dict[str, Any]] = []
        logs: list[dict[str, Any]] = []
        for record in records:
            for resource_logs in accepted("logs", record.body).resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    urls = resource_logs.schema_url, scope_logs.schema_url
                    context = self._contexts.of(resource_logs.resource, scope_logs.scope, record.tenant, urls)
                    for message in scope_logs.log_records:
                        entries = self._attributes.entries(message.attributes)
                        event = _audit(message, entries, context, record)
                        if event is not None:
                            audit.append(event)
                        else:
                            row, said, body = _log(message, entries, context, record)
                            derived.add(row, said, body)
                            logs.append(row)
        beside = {table: _partial(table, rows) for table, rows in derived.rows.items()}
        return {"audit_events": _table("audit_events", audit), "logs": _table("logs", logs)}, beside


def _partial(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = Columns(SCHEMAS[table])
    columns.rows(rows)
    return columns.table(len(rows))


def _table(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = Columns(SCHEMAS[table])
    for field in SCHEMAS[table].names if rows else ():
        columns.put(field, 0, [row[field] for row in rows])
    return columns.table(len(rows))


def _stream(value: Any) -> str:  # noqa: ANN401 - an attribute's value
    # No run may write into the stream of control events, whatever it calls its own.
    found = name(value) or ""
    return found if len(found) == _STREAM_DIGITS and found.isalnum() else ""


def _audit(message: Any, entries: Sequence[Entry], context: Context, record: RawRecord) -> dict[str, Any] | None:  # noqa: ANN401 - a wire message
    said = _typed(entries)
    seq = count(said.get(own.AUDIT_SEQ))
    event_name = wire.text(message.event_name)
    if context.scope_name != own.AUDIT_SCOPE or not event_name or seq is None:
        return None
    body = _body(message.body)
    data = parsed(body)
    fields = data if isinstance(data, dict) else {}
    run_id = name(said.get(own.RUN_ID)) or ""
    time, _ = times.of_log((message.time_unix_nano, message.observed_time_unix_nano), record.received_us)
    event_version = count(said.get(own.AUDIT_VERSION)) or 0
    return {
        "tenant": name(said.get(own.TENANT)) or context.tenant,
        "stream": (run_id and _stream(said.get(own.AUDIT_STREAM))) or run_id or CONTROL_STREAM,
        "seq": seq,
        "name": event_name,
        "time": time,
        "received_at": record.received_us,
        "version": times.version(final=True, received_us=record.received_us, collector=record.collector),
        "environment": name(said.get(own.ENVIRONMENT)) or context.environment,
        "request_id": name(said.get(own.REQUEST_ID)) or "",
        "run_id": run_id,
        "trace_id": _id(message.trace_id, _TRACE_ID),
        "span_id": _id(message.span_id, _SPAN_ID),
        "agent": name(said.get(own.AGENT_NAME)) or "",
        "agent_version": name(said.get(own.AGENT_VERSION)) or "",
        "step": count32(said.get(own.STEP)),
        **{column: _field(fields.get(column)) for column in _TEXT_COLUMNS},
        "duration_ms": number(fields.get("duration_ms")),
        "event_version": min(event_version, _UINT16_MAX),
        "prev_hash": name(said.get(own.AUDIT_PREV_HASH)) or "",
        "hash": name(said.get(own.AUDIT_HASH)) or "",
        "body_hash": name(said.get(own.AUDIT_BODY_HASH)) or "",
        "data": canonical_json(data) if isinstance(data, dict | list) else as_text(body) if body is not None else "{}",
    }


def _log(
    message: Any,  # noqa: ANN401 - a wire message
    entries: Sequence[Entry],
    context: Context,
    record: RawRecord,
) -> tuple[dict[str, Any], dict[str, Value], Value]:
    said = _typed(entries)
    body = _body(message.body)
    joined = read_columns(context.scope_name, entries, _JOINED)
    time, bucket = times.of_log(
        (message.time_unix_nano, message.observed_time_unix_nano, _stamp(said.get("event.timestamp"))),
        record.received_us,
    )
    tenant = str(joined.get("tenant") or context.tenant)
    row = {
        "tenant": tenant,
        "bucket": bucket,
        "time": time,
        "received_at": record.received_us,
        "version": times.version(final=True, received_us=record.received_us, collector=record.collector),
        "record_id": _record_id(message, context, tenant),
        "trace_id": _id(message.trace_id, _TRACE_ID),
        "span_id": _id(message.span_id, _SPAN_ID),
        "event_name": _event_name(wire.text(message.event_name), said.get("event.name"), body),
        "severity_number": message.severity_number if 0 <= message.severity_number <= _UINT8_MAX else 0,
        "severity_text": wire.text(message.severity_text),
        "body": "" if body is None else as_text(body),
        "service_name": context.service_name,
        "environment": joined.get("environment") or context.environment,
        "scope_name": context.scope_name,
        "request_id": joined.get("request_id") or "",
        "session_id": joined.get("session_id") or "",
        "user_id": joined.get("user_id") or "",
        "attributes": [(key, text) for key, _, text in entries],
        "resource": context.resource,
        "flags": message.flags & ~OF_LOGS | (BODY_STRUCTURED if isinstance(body, dict | list) else 0),
        "dropped_attributes": message.dropped_attributes_count,
        "scope_version": context.scope_version,
        "scope_attributes": context.scope,
    }
    return row, said, body


def _typed(entries: Sequence[Entry]) -> dict[str, Value]:
    return {key: value for key, value, _ in reversed(entries)}


def _body(raw: bytes) -> Value:
    # The check looks at the outermost value alone; what lies inside may still be broken.
    try:
        return wire.any_value(raw)
    except wire.DecodeError:
        return {UNREADABLE: raw}


def _field(value: Value) -> str:
    return "" if value is None else as_text(value)


def _id(raw: bytes, length: int) -> str:
    return raw.hex() if len(raw) == length and any(raw) else ""


def _event_name(sent: str, attribute: Value, body: Value) -> str:
    if sent and not _SOURCE_LINE.fullmatch(sent):
        return sent
    short = name(attribute) or ""
    if isinstance(body, str) and (not short or body.endswith(f".{short}")) and body.isprintable() and " " not in body:
        return body
    return short


def _stamp(value: Value) -> int:
    if not isinstance(value, str):
        return 0
    try:
        return int(datetime.fromisoformat(value).timestamp()) * times.NS
    except (ValueError, OverflowError):
        return 0


def _record_id(message: Any, context: Context, tenant: str) -> str:  # noqa: ANN401 - a wire message
    content = hashlib.sha256(canonical_json([tenant, context.scope_name, context.resource]).encode())
    content.update(message.SerializeToString(deterministic=True))
    return content.hexdigest()[:32]
