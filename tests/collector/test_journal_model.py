"""The journal against a model of it: any order of appends, batches, restarts, tears and damage."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanhouse_collector.batches import Batch, BatchLog
from spanhouse_collector.journal import Journal
from spanhouse_collector.records import RawRecord
from spanhouse_collector.segment import Entry, Found
from spanhouse_collector.segments import SegmentDirectory, scan_file


class JournalModel(RuleBasedStateMachine):
    """What is acknowledged and not settled is there, in order, with the batches it was planned in."""

    @initialize()
    def begin(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="spanhouse-journal-"))
        self.number = 0
        self.damaged = False
        self.unsettled: list[Entry] = []
        self.bodies: dict[Entry, bytes] = {}
        self.planned: list[tuple[Batch, list[Entry]]] = []
        self._open()

    def teardown(self) -> None:
        self._close()
        shutil.rmtree(self.path)

    def _open(self) -> None:
        self.segments = SegmentDirectory(self.path)
        self.batches = BatchLog(self.path)
        self.journal = Journal(self.segments, settled=self.batches.settled, segment_bytes=200, min_free_bytes=0)

    def _close(self) -> None:
        self.journal.close()
        self.batches.close()
        self.segments.release()

    @rule(bodies=st.lists(st.binary(max_size=80), min_size=1, max_size=4))
    def append(self, bodies: list[bytes]) -> None:
        futures = []
        for body in bodies:
            self.number += 1
            futures.append((body, self.journal.append(RawRecord("traces", body, self.number), 1)))
        for body, future in futures:
            entry = future.result(timeout=30)
            self.unsettled.append(entry)
            self.bodies[entry] = body

    @rule(share=st.floats(0, 1))
    def plan(self, share: float) -> None:
        free = self.unsettled[sum(len(entries) for _, entries in self.planned) :]
        chosen = free[: max(1, int(len(free) * share))]
        if chosen:
            self.planned.append((self.batches.plan(chosen[0].position, chosen[-1].end), chosen))

    @precondition(lambda self: self.planned)
    @rule()
    def settle(self) -> None:
        batch, entries = self.planned.pop(0)
        self.batches.stored(batch)
        self.batches.sync()
        self.journal.discard(self.batches.settled)
        self.unsettled = self.unsettled[len(entries) :]

    @rule(torn=st.binary(max_size=60))
    def crash(self, torn: bytes) -> None:
        self._close()
        files = sorted(self.path.glob("*.segment"))
        if files and torn:
            with files[-1].open("ab") as last:
                last.write(torn)
        self._open()
        assert self.journal.recovered.entries == self.unsettled
        assert self.damaged or not self.journal.recovered.damaged
        assert list(self.batches.unsettled) == [batch for batch, _ in self.planned]

    @precondition(lambda self: self.unsettled)
    @rule(which=st.integers(0, 10**6), at=st.integers(0, 10**6))
    def damage(self, which: int, at: int) -> None:
        victim = self.unsettled[which % len(self.unsettled)]
        self._close()
        file = self.segments.file(victim.position.segment)
        content = bytearray(file.read_bytes())
        content[victim.position.offset + at % victim.length] ^= 0x10
        file.write_bytes(content)
        self._open()
        kept = [entry for entry in self.unsettled if entry != victim]
        assert self.journal.recovered.entries == kept
        self.unsettled = kept
        self.damaged = True
        self.planned = [(batch, [e for e in entries if e != victim]) for batch, entries in self.planned]

    @invariant()
    def every_unsettled_record_can_be_read(self) -> None:
        for entry in self.unsettled:
            place = entry.position
            (piece,) = scan_file(self.journal.file(place.segment), place.offset, entry.end.offset)
            assert isinstance(piece, Found)
            assert piece.record.body == self.bodies[entry]

    @invariant()
    def its_size_is_that_of_its_files(self) -> None:
        assert self.journal.bytes == sum(file.stat().st_size for file in self.path.glob("*.segment"))


JournalModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJournal = JournalModel.TestCase
