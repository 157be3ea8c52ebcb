"""Changes of keys as audit events, sent through the same front door as every agent's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.records import DEFAULT_TENANT, RawRecord
from spanhouse_server.control.audit import record
from spanhouse_server.keys import changes
from spanhouse_server.keys.changes import Change

EVERY_SECONDS: Final = 2.0
"""How long a change may wait, one of another process too."""

log = logging.getLogger(__name__)


def records_of(change: Change) -> list[RawRecord]:
    """Return a change as log records, one in the trail of each tenant of the key, which names no other tenant."""
    tenants = [DEFAULT_TENANT] if change.tenants is None else sorted(change.tenants)
    named = ["*"] if change.tenants is None else tenants
    return [
        record(change.event, {**change.said, "tenants": [name]}, tenant=tenant, seq=change.seq, at=change.at)
        for tenant, name in zip(tenants, named, strict=True)
    ]


class Trail:
    """Sends what is not told yet, again and again until it is; sent twice, an event replaces itself.

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
            try:
                await self.send()
            except (JournalUnavailableError, SQLAlchemyError) as error:
                log.warning("changes of keys are not in the audit trail yet, trying again: %s", error)
            await asyncio.sleep(self._seconds)

    async def send(self) -> None:
        """Send what is not told yet.

        Raises:
            JournalUnavailableError: the journal takes nothing; what is left is sent another time.
            SQLAlchemyError: the state database does not answer.
        """
        waiting = await asyncio.to_thread(changes.untold, self._engine)
        for change in waiting:
            for each in records_of(change):
                await self._submit(each)
        if waiting:
            await asyncio.to_thread(changes.told, self._engine, [change.seq for change in waiting])
