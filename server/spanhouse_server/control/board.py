"""The board agents poll: answers at once when the flags in force change, else when the wait is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from spanhouse_server.control import flags
from spanhouse_server.control.flags import Flag

RECHECK_SECONDS = 0.5
"""How often waiting polls look again: flags run out by the clock, and another server may have set one, which agents
that wait here hear of within a second."""


class Board:
    """The flags in force, and a way to wait for their next change."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._changed = asyncio.Condition()
        self._decisions = 0
        self._reading: asyncio.Task[list[Flag]] | None = None

    def active(self) -> list[Flag]:
        """Return the flags in force now."""
        return flags.active(self._engine, self._clock())

    async def set(self, **decision: Any) -> Flag:  # noqa: ANN401 - the keywords of flags.add
        """Record a decision and wake every waiting poll."""
        flag = await asyncio.to_thread(flags.add, self._engine, now=self._clock(), **decision)
        async with self._changed:
            self._decisions += 1
            self._reading = None
            self._changed.notify_all()
        return flag

    async def poll(
        self, since: str | None, wait: float, tenants: frozenset[str] | None = None
    ) -> tuple[str, list[Flag]] | None:
        """Return tag and flags once the tag differs from ``since``; None where ``wait`` seconds brought no change.

        ``tenants`` leaves out flags of others; None for all.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Counted before the read: a decision that comes during it must not be slept through.
            seen = self._decisions
            in_force = [flag for flag in await self._read() if flag.seen_by(tenants)]
            tag = flags.etag_of(in_force)
            if tag != since:
                return tag, in_force
            remaining = deadline - loop.time()
            if remaining <= 0:
                return None
            async with self._changed:
                try:
                    await asyncio.wait_for(
                        self._changed.wait_for(lambda seen=seen: self._decisions != seen),  # type: ignore[misc]
                        min(remaining, RECHECK_SECONDS),
                    )
                except TimeoutError:
                    continue

    async def _read(self) -> list[Flag]:
        """Return the flags in force; polls that ask at the same moment share one read of the database."""
        reading = self._reading
        if reading is None or reading.done():
            reading = self._reading = asyncio.create_task(asyncio.to_thread(self.active))
        return await asyncio.shield(reading)
