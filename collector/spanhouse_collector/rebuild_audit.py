"""Stored audit events made into OTLP log records again, for another server to take in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.rebuild import texts

_NAMED = {
    own.RUN_ID: "run_id",
    own.REQUEST_ID: "request_id",
    own.ENVIRONMENT: "environment",
    own.AGENT_NAME: "agent",
    own.AGENT_VERSION: "agent_version",
}


def request(rows: pa.Table) -> bytes:
    """Return rows of ``audit_events``, of any tenants, as an OTLP logs request.

    What a record was sent with beyond the columns of the table (its resource, its severity) is not in it. Events that
    were made from log records of coding agents become Spanhouse's own.
    """
    message = wire.LogsRequest()
    scope = message.resource_logs.add().scope_logs.add()
    scope.scope.name = own.AUDIT_SCOPE.encode()
    times = rows["time"].cast(pa.int64()).to_pylist()
    for time, row in zip(times, rows.drop_columns(["time", "received_at"]).to_pylist(), strict=True):
        _add(scope.log_records.add(), time, row)
    body: bytes = message.SerializeToString()
    return body


def _add(record: Any, time: int, row: Mapping[str, Any]) -> None:  # noqa: ANN401 - a wire message
    record.time_unix_nano = time
    record.event_name = row["name"].encode()
    record.trace_id, record.span_id = bytes.fromhex(row["trace_id"]), bytes.fromhex(row["span_id"])
    record.body = wire.AnyValue(string_value=row["data"].encode()).SerializeToString()
    record.attributes.extend(
        texts(
            (key, text)
            for key, text in ((own.TENANT, row["tenant"]), *((key, row[column]) for key, column in _NAMED.items()))
            if text
        )
    )
    numbers = (own.AUDIT_SEQ, row["seq"]), (own.AUDIT_VERSION, row["event_version"]), (own.STEP, row["step"])
    for key, number in numbers:
        if number is not None:
            value = wire.AnyValue(int_value=number).SerializeToString()
            record.attributes.append(wire.KeyValue(key=key.encode(), value=value).SerializeToString())
