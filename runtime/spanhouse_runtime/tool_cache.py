"""Answers of tools that only read, kept for a while within one tenant and environment."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanhouse.canonical import canonical_json

MOST_ENTRIES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer and how many seconds ago it was given."""

    content: str
    age: float


class ToolCache:
    """Keeps answers by tenant, environment, tool and arguments; the least recently used go first. Safe for threads.

    Args:
        most: entries kept at one time.
        clock: seconds that only grow.
    """

    def __init__(self, most: int = MOST_ENTRIES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._entries: OrderedDict[str, tuple[float, float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tenant: str, environment: str, tool: str, arguments: Mapping[str, Any]) -> Cached | None:
        """Return the answer to an equal call, or None where there is none that is young enough."""
        key, now = _key(tenant, environment, tool, arguments), self._clock()
        with self._lock:
            kept = self._entries.get(key)
            if kept is None:
                return None
            given, until, content = kept
            if now >= until:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return Cached(content, now - given)

    def put(
        self, tenant: str, environment: str, tool: str, arguments: Mapping[str, Any], content: str, seconds: float
    ) -> None:
        """Keep an answer for so many seconds."""
        key, now = _key(tenant, environment, tool, arguments), self._clock()
        with self._lock:
            self._entries[key] = (now, now + seconds, content)
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)


def _key(tenant: str, environment: str, tool: str, arguments: Mapping[str, Any]) -> str:
    return canonical_json([tenant, environment, tool, arguments])
