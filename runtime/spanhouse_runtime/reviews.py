"""Updates that were made and may still be taken back, in the process that made them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanhouse.errors import SpanhouseError
from spanhouse_runtime.tools import Tool

MOST_ENTRIES: Final = 10_000


class UndoRefused(SpanhouseError):  # noqa: N818 - what happened
    """A call cannot be taken back: it is not on the review list, its time is up, or its tool cannot undo."""


@dataclass(frozen=True, slots=True)
class Review:
    """An update on the review list.

    Attributes:
        review_id: the entry's id, as in the ``review`` event.
        call_id: the model's id for the call.
        run_id, request_id, user_id, tenant, environment: whose call it was.
        tool, arguments, result: the call, and its result as the model was told.
        until: when the entry ends, in seconds of the list's clock.
    """

    review_id: str
    call_id: str
    run_id: str
    request_id: str | None
    user_id: str | None
    tenant: str
    environment: str | None
    tool: Tool
    arguments: Mapping[str, Any]
    result: str
    until: float


class ReviewList:
    """The updates of an agent that wait to be looked at. Safe for threads; the oldest go first.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._entries: OrderedDict[str, Review] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, review: Review) -> None:
        """Keep an entry until its time is up."""
        with self._lock:
            self._entries[review.review_id] = review
            while len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)

    def open(self) -> list[Review]:
        """Return the entries whose time is not up, the newest last."""
        with self._lock:
            now = self.clock()
            self._entries = OrderedDict((key, kept) for key, kept in self._entries.items() if kept.until > now)
            return list(self._entries.values())

    def take(self, an_id: str) -> Review:
        """Take an entry off the list, by its id or its call's (the newest where several calls have one id).

        Raises:
            UndoRefused: there is none, or its time is up.
        """
        entries = self.open()
        found = next((e for e in entries if e.review_id == an_id), None)
        found = found or next((e for e in reversed(entries) if e.call_id == an_id), None)
        with self._lock:
            if found is None or self._entries.pop(found.review_id, None) is None:
                msg = f"nothing on the review list is called {an_id!r}: it was never put there, or its time is up"
                raise UndoRefused(msg)
        return found
