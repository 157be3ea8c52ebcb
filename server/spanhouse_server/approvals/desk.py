"""Where agents wait for answers and people for questions: woken by what this process writes, else by looking again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spanhouse_server.approvals import table
from spanhouse_server.approvals.table import Approval, Question, State

RECHECK_SECONDS: Final = 0.5
"""How often who waits looks again: another server may have taken the answer."""

SWEEP_SECONDS: Final = 5.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Desk:
    """Questions and answers of one state database.

    Args:
        engine: the state database.
        clock: the time, aware.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine, self.clock = engine, clock
        self._changed = asyncio.Condition()
        self._changes = 0

    async def ask(self, question: Question, seconds: float) -> Approval:
        """Put a question."""
        return await self._change(lambda: table.ask(self._engine, question, seconds=seconds, now=self.clock()))

    async def answer(self, approval_id: str, **said: Any) -> Approval:  # noqa: ANN401 - the keywords of table.answer
        """Write an answer down; raises as ``table.answer``."""
        return await self._change(lambda: table.answer(self._engine, approval_id, now=self.clock(), **said))

    async def withdraw(self, approval_id: str) -> Approval:
        """Take a question back; raises as ``table.withdraw``."""
        return await self._change(lambda: table.withdraw(self._engine, approval_id, self.clock()))

    async def get(self, approval_id: str, wait: float = 0) -> Approval:
        """Return a question, once it is over or ``wait`` seconds have passed.

        Raises:
            NoSuchApprovalError: none has this id.
        """
        return await self._until(
            lambda: table.get(self._engine, approval_id, self.clock()),
            lambda found: found.state is not State.WAITING,
            wait,
        )

    async def listed(
        self, state: State | None, tenants: frozenset[str] | None, wait: float = 0, known: frozenset[str] = frozenset()
    ) -> list[Approval]:
        """Return questions, once they are others than the known ids or ``wait`` seconds have passed."""
        return await self._until(
            lambda: table.listed(self._engine, state, tenants, self.clock()),
            lambda found: {each.id for each in found} != known,
            wait,
        )

    def waiting(self) -> int:
        """Return how many questions wait."""
        return table.waiting(self._engine, self.clock())

    async def run(self) -> None:
        """Write down what has run out, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(table.expire, self._engine, self.clock())
            except SQLAlchemyError as error:
                log.warning("approvals that ran out are not written down yet, trying again: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _change(self, work: Callable[[], T]) -> T:
        done = await asyncio.to_thread(work)
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()
        return done

    async def _until(self, read: Callable[[], T], enough: Callable[[T], bool], wait: float) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Counted before the read: a change that comes during it must not be slept through.
            seen = self._changes
            found = await asyncio.to_thread(read)
            left = deadline - loop.time()
            if left <= 0 or enough(found):
                return found
            async with self._changed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._changed.wait_for(lambda seen=seen: self._changes != seen),  # type: ignore[misc]
                        min(left, RECHECK_SECONDS),
                    )
