"""Spans of one plan, taken column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import Reader, count, name, text
from spanhouse_collector.normalise.attributes import Attributes, Entry
from spanhouse_collector.normalise.plan import Feed, Plan
from spanhouse_collector.wire import Value

Cells: TypeAlias = dict[str, list[Any]]
"""Column -> values of a group's rows."""

_UINT64_MAX: Final = 2**64 - 1


class Event:
    """One span event with its attributes read; of equal keys the first counts."""

    __slots__ = ("attributes", "dropped", "name", "time_ns")

    def __init__(self, message: Any, attributes: Attributes) -> None:  # noqa: ANN401 - a wire message
        self.name = wire.text(message.name)
        self.time_ns: int = message.time_unix_nano
        self.dropped: int = message.dropped_attributes_count
        self.attributes: dict[str, Value] = {}
        for key, value, _ in attributes.entries(message.attributes):
            self.attributes.setdefault(key, value)


class Group:
    """The spans of a batch that share a plan.

    Attributes:
        spans: the wire messages.
        entries: their attributes end to end, of every span as many as the plan has keys and in that order.
        context: number of each span's context.
        record: number of the body each span came in.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.spans: list[Any] = []
        self.entries: list[Entry] = []
        self.context: list[int] = []
        self.record: list[int] = []
        self.cut: set[int] = set()

    def __len__(self) -> int:
        return len(self.spans)

    def at(self, position: int) -> list[Entry]:
        """Return every span's entry for the key at a position."""
        return self.entries[position :: len(self.plan.keys)]

    def of(self, row: int) -> list[Entry]:
        """Return one span's entries."""
        width = len(self.plan.keys)
        return self.entries[row * width : (row + 1) * width]

    def column(self, name_: str) -> list[Any] | None:
        """Return a column's values as the plan reads them, None where nothing feeds it.

        The first usable value wins; a zero count stays only where no later key says more.
        """
        feeds = self.plan.feeds.get(name_)
        return None if feeds is None else self.first(feeds)

    def first(self, feeds: Sequence[Feed]) -> list[Any]:
        """Return for every span the first usable value among the feeds."""
        position, reader = feeds[0]
        values = self.read(position, reader)
        for position, reader in feeds[1:]:
            if all(values):
                break
            for row, (_, value, _) in enumerate(self.at(position)):
                if not values[row]:
                    found = reader(value)
                    # 0 and False are values: nothing but something larger takes their place.
                    if found or (found is not None and values[row] is None):
                        values[row] = found
        return values

    def read(self, position: int, reader: Reader) -> list[Any]:
        """Return what a reader makes of every span's value at a position."""
        column = self.at(position)
        # The three readers that most values go through are spelt out: a call would cost more than the reading.
        if reader is text:
            return [None if value is None else text_ for _, value, text_ in column]
        if reader is name:
            return [v if type(v) is str and v[:1] != '"' else name(v) for _, v, _ in column]
        if reader is count:
            return [v if type(v) is int and 0 <= v <= _UINT64_MAX else count(v) for _, v, _ in column]
        return [reader(value) for _, value, _ in column]
