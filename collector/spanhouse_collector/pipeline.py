"""From acknowledged to stored: journal, batches, decode child, inserts, each batch exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from spanhouse_collector.backlog import Backlog, Lag
from spanhouse_collector.batches import BatchLog
from spanhouse_collector.batching import DEFAULT_LIMITS, BatchLimits
from spanhouse_collector.dead_letters import DeadLetters
from spanhouse_collector.decoder import COMMAND, Decoder
from spanhouse_collector.journal import MAX_BYTES, MIN_FREE_BYTES, SEGMENT_BYTES, Journal, JournalUnavailableError
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.parts import EVERYTHING, PartDecoder
from spanhouse_collector.records import RawRecord
from spanhouse_collector.redaction.guard import BeforeJournal
from spanhouse_collector.redaction.settings import MASKED, Redaction
from spanhouse_collector.refusals import Refusals
from spanhouse_collector.segment import Position
from spanhouse_collector.segments import SegmentDirectory
from spanhouse_collector.stages import OnStored, Stages
from spanhouse_collector.writer import BatchWriter, Sink
from spanhouse_storage.screen import Screen

_log = logging.getLogger(__name__)

_THREAD_BYTES: Final = 1 << 20
"""Larger requests are redacted in a thread: the event loop has others to serve."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What an operator may want otherwise.

    Attributes:
        limits: how large batches get and how long they wait.
        segment_bytes: size at which the journal begins a new file.
        max_journal_bytes: `submit` is refused while the journal is larger.
        min_free_bytes: `submit` is refused while the journal's disk has less free space.
        decoder_command: the decode child; speaks as `spanhouse_collector.child`.
    """

    limits: BatchLimits = DEFAULT_LIMITS
    segment_bytes: int = SEGMENT_BYTES
    max_journal_bytes: int = MAX_BYTES
    min_free_bytes: int = MIN_FREE_BYTES
    decoder_command: Sequence[str] = COMMAND


DEFAULT_SETTINGS = PipelineSettings()


@dataclass(frozen=True, slots=True)
class _Running:
    segments: SegmentDirectory
    batches: BatchLog
    journal: Journal
    decoder: Decoder
    stages: Stages
    refusals: Refusals
    writer: BatchWriter


class Pipeline:
    """Takes export requests, answers when they are durable, and brings them into the store.

    Ownership: the caller opens and closes the store, and calls `start` once and then `stop` once; the journal directory
    is held by this process in between. `submit` is for coroutines, the rest for any thread.

    Args:
        store: where rows go: the store contract's `insert`.
        journal_dir: the journal's own directory.
        on_stored: called in the pipeline's own thread with the traces of each stored batch (`records.TRACES_SCHEMA`)
            and its rows of `spans`, which are None where they are not known whole; what it raises is logged and
            counted, and changes nothing.
        redaction: returns what tenants want done with their content at this moment.
        screen: decides what may be stored.
    """

    def __init__(
        self,
        store: Sink,
        journal_dir: Path,
        on_stored: OnStored,
        *,
        settings: PipelineSettings = DEFAULT_SETTINGS,
        metrics: Metrics | None = None,
        redaction: Callable[[], Redaction] = lambda: MASKED,
        screen: Screen = EVERYTHING,
    ) -> None:
        self._screen = screen
        self.metrics = metrics or Metrics()
        self._store, self._directory, self._on_stored, self._settings = store, journal_dir, on_stored, settings
        self._redaction, self._before_journal = redaction, (MASKED, BeforeJournal(MASKED))
        self._backlog = Backlog(settings.limits)
        self._running: _Running | None = None
        self.metrics.watch("pending_items", "Spans and log records acknowledged, not yet stored.", self._pending_items)
        self.metrics.watch("pending_seconds", "Age of the oldest of them.", lambda: self.lag().seconds)
        self.metrics.watch("store_away_seconds", "Time without an insert that worked.", self.store_away_seconds)
        self.metrics.watch("journal_bytes", "Bytes of the journal on disk.", lambda: self.lag().journal_bytes)

    def start(self) -> None:
        """Recover the journal, repeat the batches that were under way, and begin to take records.

        Raises:
            JournalHeldError: another process has the journal directory.
        """
        with ExitStack() as undo:
            segments = SegmentDirectory(self._directory)
            undo.callback(segments.release)
            batches = BatchLog(self._directory)
            undo.callback(batches.close)
            journal = self._open_journal(segments, batches)
            undo.callback(journal.close)
            self._report(journal, batches)
            self._backlog.add(journal.recovered.entries)
            decoder = Decoder(
                self._directory / "decoded", command=self._settings.decoder_command, redaction=self._redaction
            )
            parts = PartDecoder(
                decoder,
                journal.file,
                DeadLetters(self._directory / "dead-letters", self._redaction),
                self.metrics,
                self._screen,
            )
            writer = BatchWriter(self._store, batches, parts, self.metrics, self._backlog.stopping)
            stages = self._stages(batches, journal, parts, writer)
            refusals = Refusals(self._store, self.metrics)
            self._running = _Running(segments, batches, journal, decoder, stages, refusals, writer)
            stages.start()
            refusals.start()
            undo.pop_all()

    def stop(self, drain_seconds: float = 5.0) -> None:
        """Take no more, store what the time allows, end threads and child; what is left stays in the journal."""
        running = self._running
        if not running:
            return
        running.journal.close()
        self.drain(drain_seconds)
        self._backlog.stop()
        running.decoder.close()
        running.stages.join()
        running.refusals.stop()
        running.batches.close()
        if not self.lag().records:
            running.segments.discard(running.batches.settled.segment + 1)
        running.segments.release()
        self._running = None

    async def submit(self, record: RawRecord, items: int = 1) -> None:
        """Return once the record is durable.

        Args:
            record: an export request whose spans all have usable ids.
            items: spans or log records in it; batches are cut by them.

        Raises:
            JournalUnavailableError: the record was not taken; the error says why and when to try again.
        """
        if not self._running:
            msg = "the collector is not running: send again"
            raise JournalUnavailableError(msg, retry_after=1)
        if len(record.body) > _THREAD_BYTES:
            record = await asyncio.to_thread(self._redacted, record)
        else:
            record = self._redacted(record)
        await asyncio.wrap_future(self._running.journal.append(record, items))

    def refused(self, tenant: str, signal: str, refused: Counter[tuple[str, str]], received_us: int) -> None:
        """Put records into the ledger that senders were told are refused: (source, reason) -> records."""
        if refused and self._running:
            self._running.refusals.count(tenant, signal, refused, received_us)

    def lag(self) -> Lag:
        """Return what is acknowledged and not yet stored."""
        return self._backlog.lag(self._running.journal.bytes if self._running else 0)

    def pending(self, since: datetime | None = None, until: datetime | None = None) -> int:
        """Return how many spans, log records and data points, received between two times, are not yet stored."""
        first = 0 if since is None else int(since.timestamp() * 1e6)
        last = None if until is None else int(until.timestamp() * 1e6)
        return sum(
            entry.items
            for entry in self._backlog.entries()
            if entry.received_us >= first and (last is None or entry.received_us < last)
        )

    def refusal(self) -> str:
        """Return why `submit` would fail now; empty where it would not."""
        return self._running.journal.refusal() if self._running else "the collector is not running"

    def store_away_seconds(self) -> float:
        """Return for how long no insert has succeeded that was tried; 0 where none fails."""
        return self._running.writer.away_seconds() if self._running else 0.0

    def drain(self, timeout: float) -> bool:
        """Return whether everything acknowledged came into the store within the seconds."""
        return self._backlog.drain(timeout)

    def forget(self, timeout: float) -> bool:
        """Delete the journal's copies of what is stored; return whether all that came before the call is gone from it.

        Records acknowledged before the call are waited for, at most the seconds; what comes meanwhile goes to a new
        file.
        """
        running = self._running
        if not running:
            return False
        last = running.journal.rotate()
        if not self._backlog.settled_through(last, timeout):
            return False
        running.batches.sync()
        running.journal.discard(Position(last + 1, 0))
        return True

    @property
    def dead_letters(self) -> Path:
        """Where records are set aside that nobody can decode or store."""
        return self._directory / "dead-letters"

    def _redacted(self, record: RawRecord) -> RawRecord:
        known, before_journal = self._before_journal
        redaction = self._redaction()
        if redaction is not known:
            before_journal = BeforeJournal(redaction)
            self._before_journal = redaction, before_journal
        record, found = before_journal(record)
        self.metrics.count_redacted(found)
        return record

    def _open_journal(self, segments: SegmentDirectory, batches: BatchLog) -> Journal:
        return Journal(
            segments,
            settled=batches.settled,
            on_committed=self._backlog.add,
            segment_bytes=self._settings.segment_bytes,
            max_bytes=self._settings.max_journal_bytes,
            min_free_bytes=self._settings.min_free_bytes,
        )

    def _stages(self, batches: BatchLog, journal: Journal, parts: PartDecoder, writer: BatchWriter) -> Stages:
        return Stages(
            backlog=self._backlog,
            batches=batches,
            journal=journal,
            parts=parts,
            writer=writer,
            metrics=self.metrics,
            on_stored=self._on_stored,
        )

    def _pending_items(self) -> float:
        return self.lag().items

    def _report(self, journal: Journal, batches: BatchLog) -> None:
        found = journal.recovered
        self.metrics.damaged_records.inc(found.damaged)
        if found.torn_bytes or found.damaged or batches.damaged_lines:
            _log.warning(
                "journal %s: %d bytes of unacknowledged writes cut off, %d damaged stretches lost, %d batch notes lost",
                self._directory,
                found.torn_bytes,
                found.damaged,
                batches.damaged_lines,
            )
        if found.entries:
            _log.info("journal %s: %d requests are to be stored", self._directory, len(found.entries))
