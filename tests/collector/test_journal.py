"""The journal on a real disk: durable before it answers, whole after a crash, honest when it is full."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from spanhouse_collector.journal import Journal, JournalUnavailableError
from spanhouse_collector.records import RawRecord
from spanhouse_collector.segment import HEADER_BYTES, START, Entry, Found, Position
from spanhouse_collector.segments import JournalHeldError, Recovered, SegmentDirectory, scan_file


def record(number: int, size: int = 10) -> RawRecord:
    return RawRecord("traces", b"%010d" % number + b"x" * size, number)


class Opened:
    """A journal in its directory, opened and closed together."""

    def __init__(self, path: Path, settled: Position = START, **settings: Any) -> None:
        self.segments = SegmentDirectory(path)
        self.journal = Journal(self.segments, settled=settled, min_free_bytes=0, **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()
        self.segments.release()

    @property
    def recovered(self) -> Recovered:
        """What the start found."""
        return self.journal.recovered

    def append(self, *numbers: int, size: int = 10) -> list[Entry]:
        """Append records with these numbers and wait for the disk."""
        futures = [self.journal.append(record(number, size), 1) for number in numbers]
        return [future.result(timeout=30) for future in futures]

    def read(self) -> list[int]:
        """The numbers of the records that were recovered, read back from the files."""
        return [read(self.journal, entry).received_us for entry in self.recovered.entries]


def read(journal: Journal, entry: Entry) -> RawRecord:
    pieces = scan_file(journal.file(entry.position.segment), entry.position.offset, entry.end.offset)
    (piece,) = pieces
    assert isinstance(piece, Found)
    return piece.record


def test_what_was_acknowledged_is_there_after_a_restart_in_order(tmp_path: Path) -> None:
    with Opened(tmp_path) as first:
        entries = first.append(*range(20))
        assert [read(first.journal, e).received_us for e in entries] == list(range(20))
        assert not first.recovered.entries
    with Opened(tmp_path) as second:
        assert second.read() == list(range(20))
        assert second.recovered.entries == entries
        second.append(20)
    with Opened(tmp_path) as third:
        assert third.read() == list(range(21))


def test_what_is_settled_is_not_recovered_and_its_files_go(tmp_path: Path) -> None:
    with Opened(tmp_path, segment_bytes=200) as first:
        entries = [first.append(number)[0] for number in range(10)]
    assert len({e.position.segment for e in entries}) > 2
    with Opened(tmp_path, entries[6].end) as second:
        assert second.read() == [7, 8, 9]
        size = second.journal.bytes
        second.journal.discard(entries[6].end)
        assert second.read() == [7, 8, 9]
        assert second.journal.bytes < size
        assert second.journal.bytes == sum(file.stat().st_size for file in tmp_path.glob("*.segment"))


def test_once_all_is_settled_a_start_leaves_nothing_of_what_was_sent(tmp_path: Path) -> None:
    with Opened(tmp_path) as first:
        (entry,) = first.append(1)
    with Opened(tmp_path, entry.end) as second:
        assert not list(tmp_path.glob("*.segment"))
        (later,) = second.append(2)
        assert later.position.segment > entry.position.segment


def test_files_and_folder_are_the_owners_alone(tmp_path: Path) -> None:
    with Opened(tmp_path / "journal") as opened:
        opened.append(1)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "journal").iterdir()}
        assert modes == {0o600}
        assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700


def test_a_torn_end_costs_only_the_records_it_tears_whatever_the_byte(tmp_path: Path) -> None:
    with Opened(tmp_path) as first:
        entries = first.append(*range(6))
    (file,) = tmp_path.glob("*.segment")
    whole = file.read_bytes()
    for cut in range(entries[3].position.offset, len(whole)):
        file.write_bytes(whole[:cut])
        with Opened(tmp_path) as again:
            kept = [e for e in entries if e.end.offset <= cut]
            assert again.recovered.entries == kept
            assert again.recovered.torn_bytes == cut - kept[-1].end.offset
            assert again.recovered.damaged == 0
        with Opened(tmp_path) as later:
            assert later.recovered.torn_bytes == 0
            assert later.recovered.entries == kept


def test_a_flipped_byte_costs_one_record_and_is_counted(tmp_path: Path) -> None:
    with Opened(tmp_path) as first:
        entries = first.append(*range(4))
    (file,) = tmp_path.glob("*.segment")
    whole = bytearray(file.read_bytes())
    victim = entries[1]
    for at in range(victim.position.offset, victim.end.offset):
        flipped = bytearray(whole)
        flipped[at] ^= 0x01
        file.write_bytes(flipped)
        with Opened(tmp_path) as again:
            assert again.read() == [0, 2, 3]
            assert (again.recovered.damaged, again.recovered.torn_bytes) == (1, 0)


def test_an_empty_file_left_by_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    with Opened(tmp_path) as first:
        first.append(1)
    (tmp_path / f"{99:012d}.segment").touch()
    with Opened(tmp_path) as again:
        assert again.read() == [1]
        (entry,) = again.append(2)
        assert entry.position == Position(100, HEADER_BYTES)


def test_a_second_process_is_told_who_holds_the_journal(tmp_path: Path) -> None:
    with Opened(tmp_path), pytest.raises(JournalHeldError, match=f"process {os.getpid()} holds the journal"):
        SegmentDirectory(tmp_path)


def test_a_full_journal_refuses_and_takes_again_once_space_is_made(tmp_path: Path) -> None:
    with Opened(tmp_path, segment_bytes=500, max_bytes=2_000) as opened:
        entries: list[Entry] = []
        while opened.journal.bytes < 1_800:
            entries += opened.append(len(entries), size=200)
        with pytest.raises(JournalUnavailableError, match="is full") as refusal:
            opened.append(1_000, size=200)
        assert refusal.value.retry_after > 0
        opened.journal.discard(entries[-1].end)
        assert opened.append(1_000, size=200)


def test_a_nearly_full_disk_refuses_before_anything_is_written(tmp_path: Path) -> None:
    segments = SegmentDirectory(tmp_path)
    journal = Journal(segments, min_free_bytes=1 << 60)
    with pytest.raises(JournalUnavailableError, match="bytes left"):
        journal.append(record(1), 1)
    journal.close()
    segments.release()
    assert not list(tmp_path.glob("*.segment"))


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
def test_a_failed_write_or_fsync_is_never_acknowledged_and_the_next_goes_to_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    with Opened(tmp_path) as opened:
        (before,) = opened.append(1)

        def fail(*_: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(os, failing, fail)
            with pytest.raises(JournalUnavailableError, match="could not be written"):
                opened.append(2)
        (after,) = opened.append(3)
        assert after.position.segment > before.position.segment
    with Opened(tmp_path) as again:
        assert again.read() == [1, 3]
        assert again.recovered.torn_bytes == 0


def test_a_closed_journal_refuses_and_what_waited_was_written(tmp_path: Path) -> None:
    with Opened(tmp_path) as opened:
        waiting = [opened.journal.append(record(number), 1) for number in range(50)]
        opened.journal.close()
        assert all(future.done() for future in waiting)
        with pytest.raises(JournalUnavailableError, match="stopping"):
            opened.journal.append(record(1), 1)
    with Opened(tmp_path) as again:
        assert len(again.read()) == 50


def test_a_sender_that_gave_up_does_not_stop_the_others(tmp_path: Path) -> None:
    with Opened(tmp_path) as opened:
        given_up = opened.journal.append(record(1), 1)
        given_up.cancel()
        assert opened.append(2)


def test_many_threads_share_fsyncs_and_every_record_has_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    gate = threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        gate.wait(timeout=30)
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    with Opened(tmp_path) as opened:
        futures = [opened.journal.append(record(number), 1) for number in range(100)]
        assert not any(future.done() for future in futures)
        gate.set()
        places = {future.result(timeout=30).position for future in futures}
        assert len(places) == 100
        assert len(syncs) < 10


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    # Threads of libraries that other tests used may end meanwhile.
    assert not set(threading.enumerate()) - before
