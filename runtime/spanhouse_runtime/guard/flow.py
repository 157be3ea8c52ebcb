"""A decision that may have to wait, written once and driven from plain code and from an event loop alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """The decision goes on after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocking:
    """The decision needs the result of work that may block, such as a request or a file lock."""

    work: Callable[[], Any]


Flow: TypeAlias = Generator[Wait | Blocking, Any, T]
"""A decision under way: yields what it waits for and returns what was decided, or raises."""


def drive(flow: Flow[T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Return what the flow decides, waiting in the calling thread."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as end:
            decided: T = end.value
            return decided
        answer = error = None
        try:
            if isinstance(step, Wait):
                sleep(step.seconds)
            else:
                answer = step.work()
        except BaseException as problem:  # noqa: BLE001 - the flow gives back what it holds, then raises it
            error = problem


async def drive_async(flow: Flow[T]) -> T:
    """Return what the flow decides, without holding up the event loop."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as end:
            decided: T = end.value
            return decided
        answer = error = None
        try:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                answer = await asyncio.to_thread(step.work)
        except BaseException as problem:  # noqa: BLE001 - the flow gives back what it holds, then raises it
            error = problem
