"""An operator's decision as an audit event, sent through the same front door as every agent's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from spanhouse import attributes as keys
from spanhouse.canonical import canonical_json
from spanhouse_collector.records import RawRecord
from spanhouse_server.control.flags import Action, Flag

DEFAULT_TENANT = "default"


def record_of(flag: Flag) -> RawRecord:
    """Return a control decision's log record: event ``kill`` for a stop, else ``override``; stream ``control``."""
    name = "kill" if flag.action == Action.STOP else "override"
    return record(name, flag.as_json(), tenant=flag.tenant or DEFAULT_TENANT, seq=flag.id, at=flag.created_at)


def record(name: str, said: Mapping[str, Any], *, tenant: str, seq: int, at: datetime) -> RawRecord:
    """Return the log record of an audit event of the stream ``control``.

    Args:
        name: the event's.
        said: its own fields.
        tenant: in whose trail it stands.
        seq: its number in the stream, from the numbers of control flags: two events with one number are one event.
        at: its time, aware.
    """
    attributes: dict[str, str | int] = {keys.TENANT: tenant, keys.AUDIT_VERSION: 1, keys.AUDIT_SEQ: seq}
    log_record = LogRecord(
        time_unix_nano=int(at.timestamp() * 1e9),
        event_name=name,
        body=AnyValue(string_value=canonical_json(said)),
        attributes=[_key_value(key, value) for key, value in attributes.items()],
    )
    scope = ScopeLogs(scope=InstrumentationScope(name=keys.AUDIT_SCOPE), log_records=[log_record])
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
    return RawRecord(
        signal="logs",
        body=request.SerializeToString(),
        received_us=time.time_ns() // 1000,
        tenant=tenant,
        collector=0,
    )


def _key_value(key: str, value: str | int) -> KeyValue:
    any_value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    return KeyValue(key=key, value=any_value)
