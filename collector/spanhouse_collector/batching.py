"""When acknowledged records become a batch, and which: decided from counts and ages alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spanhouse_collector.segment import Entry, Position


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch gets and how long its first record waits.

    Attributes:
        items: spans and log records that make a batch full.
        bytes: journal bytes that make a batch full.
        linger: seconds the first record waits at most while many come; large inserts spare the store its merging.
        small_linger: seconds it waits while few come.
        few: items below which a batch counts as small.
    """

    items: int = 30_000
    bytes: int = 40 << 20
    linger: float = 1.0
    small_linger: float = 0.25
    few: int = 2_000


DEFAULT_LIMITS: Final = BatchLimits()


class Pending:
    """Acknowledged records that no batch holds yet, in the order of the journal. Not safe for threads by itself."""

    def __init__(self, limits: BatchLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._entries: deque[tuple[Entry, float]] = deque()
        self.items = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Iterable[Entry], now: float) -> None:
        """Take records that were acknowledged at `now`, a monotonic clock's seconds."""
        for entry in entries:
            self._entries.append((entry, now))
            self.items += entry.items
            self.bytes += entry.length

    def entries(self) -> list[Entry]:
        """Return the records in their order."""
        return [entry for entry, _ in self._entries]

    def oldest(self) -> float | None:
        """Return when the first record came, or None where there is none."""
        return self._entries[0][1] if self._entries else None

    def wait(self, now: float) -> float | None:
        """Return the seconds until a batch is due, 0 where one is, None where nothing is pending."""
        first = self.oldest()
        if first is None:
            return None
        if self.items >= self._limits.items or self.bytes >= self._limits.bytes:
            return 0.0
        linger = self._limits.small_linger if self.items < self._limits.few else self._limits.linger
        return max(0.0, first + linger - now)

    def take(self) -> list[Entry]:
        """Return the records of the next batch and forget them: at least one, as many as fit."""
        taken: list[Entry] = []
        items = size = 0
        while self._entries:
            entry = self._entries[0][0]
            if taken and (items + entry.items > self._limits.items or size + entry.length > self._limits.bytes):
                break
            taken.append(self._entries.popleft()[0])
            items += entry.items
            size += entry.length
        self._forget(items, size)
        return taken

    def take_until(self, end: Position) -> list[Entry]:
        """Return the records before a position and forget them: a batch cut earlier, taken again."""
        taken: list[Entry] = []
        while self._entries and self._entries[0][0].position < end:
            taken.append(self._entries.popleft()[0])
        self._forget(sum(e.items for e in taken), sum(e.length for e in taken))
        return taken

    def _forget(self, items: int, size: int) -> None:
        self.items -= items
        self.bytes -= size
