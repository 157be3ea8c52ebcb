"""Decoding a batch so that a record nobody can decode does not take its neighbours with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

from spanhouse_collector import ledger
from spanhouse_collector.dead_letters import DeadLetters
from spanhouse_collector.decoder import Decoded, DecodeError, Decoder, Range
from spanhouse_collector.ledger import Rejected
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.records import RawRecord
from spanhouse_collector.screening import screened
from spanhouse_collector.segment import Entry, Found
from spanhouse_collector.segments import scan_file
from spanhouse_storage.screen import Screen

EVERYTHING: Final = Screen()
"""Lets everything be stored."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of a batch, decoded.

    Attributes:
        name: where in the batch they stand: empty for the whole, else a 0 or 1 for each time it was halved.
        refused: records among them that may not be stored, and are not in `decoded` any more.
    """

    name: str
    entries: Sequence[Entry]
    decoded: Decoded
    refused: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """Records of a batch that will not be stored.

    Attributes:
        rejected: how many and why, for the ledger.
    """

    rejected: Rejected


class PartDecoder:
    """Decodes records; halves them around those that cannot be decoded, and sets these aside.

    Args:
        file: returns the file of a segment.
        screen: decides what may be stored.
    """

    def __init__(
        self,
        decoder: Decoder,
        file: Callable[[int], Path],
        dead_letters: DeadLetters,
        metrics: Metrics,
        screen: Screen = EVERYTHING,
    ) -> None:
        self._decoder, self._file, self._dead_letters, self._metrics = decoder, file, dead_letters, metrics
        self._screen = screen

    def warm_up(self) -> None:
        """Start the decoder's child, which needs a moment before it can take its first records."""
        self._decoder.start()

    def decode(self, entries: Sequence[Entry], name: str = "") -> Iterator[Part | Lost]:
        """Yield the records decoded, as one part where all of them can be, and what is lost of them."""
        if not entries:
            return
        # Within a part the culprit is already known to be; alone it gets a second chance before it is set aside.
        attempts = 1 if name and len(entries) > 1 else 2
        try:
            part = Part(name, entries, self._decoder.decode(self._ranges(entries), attempts=attempts))
        except DecodeError as error:
            self._metrics.decode_errors.inc()
            yield from self.without_culprit(entries, name, str(error))
            return
        self._metrics.count_redacted(part.decoded.redacted)
        lost = len(entries) - part.decoded.records
        if lost:
            self._metrics.damaged_records.inc(lost)
            _log.error("%d acknowledged requests cannot be read from the journal any more: the disk is damaged", lost)
            yield Lost(_missing(entries, part.decoded, ledger.DAMAGED))
        elif (missing := _missing(entries, part.decoded, ledger.UNACCOUNTED, explained=False)).count:
            _log.error("%d acknowledged records were neither stored nor refused: please report this", missing.count)
            yield Lost(missing)
        kept, refused = screened(part.decoded, self._screen)
        yield replace(part, decoded=kept, refused=refused)

    def without_culprit(self, entries: Sequence[Entry], name: str, reason: str) -> Iterator[Part | Lost]:
        """Yield the halves of records that failed together; a record that fails alone is set aside."""
        if len(entries) == 1:
            yield self._set_aside(entries[0], reason)
            return
        middle = len(entries) // 2
        yield from self.decode(entries[:middle], name + "0")
        yield from self.decode(entries[middle:], name + "1")

    def _set_aside(self, entry: Entry, reason: str) -> Lost:
        record = self._read(entry)
        if not record:
            return Lost(Rejected("", "", "", ledger.DAMAGED, entry.received_us, entry.items))
        self._dead_letters.set_aside(entry, record, reason)
        self._metrics.dead_letters.labels(record.signal).inc(entry.items)
        return Lost(Rejected(record.tenant, record.signal, "", ledger.SET_ASIDE, entry.received_us, entry.items))

    def _read(self, entry: Entry) -> RawRecord | None:
        place = entry.position
        for piece in scan_file(self._file(place.segment), place.offset, entry.end.offset):
            if isinstance(piece, Found):
                return piece.record
        self._metrics.damaged_records.inc()
        return None

    def _ranges(self, entries: Sequence[Entry]) -> list[Range]:
        ranges: list[Range] = []
        for number, group in groupby(entries, key=lambda entry: entry.position.segment):
            members = list(group)
            ranges.append((self._file(number), members[0].position.offset, members[-1].end.offset))
        return ranges


def _missing(entries: Sequence[Entry], decoded: Decoded, reason: str, *, explained: bool = True) -> Rejected:
    # Whose they were cannot be read any more; how many, is known from those that can.
    count = max(0, sum(entry.items for entry in entries) - decoded.items)
    return Rejected("", "", "", reason, entries[0].received_us, count, explained)
