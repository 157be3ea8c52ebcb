"""An operator's decision as an audit event, sent through the same front door as every agent's."""

from __future__ import annotations

import time

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
    tenant = flag.tenant or DEFAULT_TENANT
    attributes: dict[str, str | int] = {keys.TENANT: tenant, keys.AUDIT_VERSION: 1, keys.AUDIT_SEQ: flag.id}
    log_record = LogRecord(
        time_unix_nano=int(flag.created_at.timestamp() * 1e9),
        event_name="kill" if flag.action == Action.STOP else "override",
        body=AnyValue(string_value=canonical_json(flag.as_json())),
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
