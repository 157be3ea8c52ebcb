"""Control events on their way into the trail: sent through the same front door as every agent's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spanhouse import attributes as keys
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.records import RawRecord
from spanhouse_server.audit import outbox
from spanhouse_server.audit.outbox import Noted

EVERY_SECONDS: Final = 2.0
"""How long an event may wait, one of another process too."""

log = logging.getLogger(__name__)


class Trail:
    """Sends what is not told yet, again and again until it is acknowledged; sent twice, an event replaces itself.

    Args:
        engine: the state database.
        submit: returns once a record is durable.
        seconds: between two looks.
    """

    def __init__(
        self, engine: Engine, submit: Callable[[RawRecord], Awaitable[None]], seconds: float = EVERY_SECONDS
    ) -> None:
        self._engine, self._submit, self._seconds = engine, submit, seconds

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self.try_to_send()
            await asyncio.sleep(self._seconds)

    async def try_to_send(self) -> bool:
        """Send what is not told yet; return whether it went. What did not is sent another time."""
        try:
            await self.send()
        except (JournalUnavailableError, SQLAlchemyError) as error:
            log.warning("control events are not in the audit trail yet, trying again: %s", error)
            return False
        return True

    async def send(self) -> None:
        """Send what is not told yet. May be called from any event loop.

        Raises:
            JournalUnavailableError: the journal takes nothing; what is left is sent another time.
            SQLAlchemyError: the state database does not answer.
        """
        waiting = await asyncio.to_thread(outbox.untold, self._engine)
        for each in waiting:
            await self._submit(record_of(each))
        if waiting:
            await asyncio.to_thread(outbox.told, self._engine, waiting)


def record_of(noted: Noted) -> RawRecord:
    """Return the log record of a control event."""
    attributes: dict[str, str | int] = {
        keys.TENANT: noted.tenant,
        keys.AUDIT_VERSION: noted.version,
        keys.AUDIT_SEQ: noted.seq,
        keys.AUDIT_PREV_HASH: noted.prev_hash,
        keys.AUDIT_HASH: noted.hash,
        keys.AUDIT_BODY_HASH: noted.body_hash,
    }
    log_record = LogRecord(
        time_unix_nano=noted.time_us * 1_000,
        event_name=noted.event,
        body=AnyValue(string_value=noted.body),
        attributes=[_key_value(key, value) for key, value in attributes.items()],
    )
    scope = ScopeLogs(scope=InstrumentationScope(name=keys.AUDIT_SCOPE), log_records=[log_record])
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
    return RawRecord(
        signal="logs",
        body=request.SerializeToString(),
        received_us=time.time_ns() // 1000,
        tenant=noted.tenant,
        collector=0,
    )


def _key_value(key: str, value: str | int) -> KeyValue:
    any_value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    return KeyValue(key=key, value=any_value)
