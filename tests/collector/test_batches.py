"""Batch boundaries that outlive the process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spanhouse_collector import batches as module
from spanhouse_collector.batches import FILE_NAME, BatchLog
from spanhouse_collector.segment import START, Position


def at(offset: int) -> Position:
    return Position(1, offset)


def reopened(log: BatchLog, path: Path) -> BatchLog:
    log.close()
    return BatchLog(path)


def test_a_planned_batch_is_there_after_a_restart_with_the_same_tokens(tmp_path: Path) -> None:
    log = BatchLog(tmp_path)
    batch = log.plan(at(20), at(90))
    token = log.token(batch, "spans")
    log = reopened(log, tmp_path)
    assert list(log.unsettled) == [batch]
    assert log.token(batch, "spans") == token
    assert log.settled == START
    assert log.plan(at(90), at(99)).sequence == batch.sequence + 1
    log.close()


def test_a_stored_batch_is_settled_and_not_repeated(tmp_path: Path) -> None:
    log = BatchLog(tmp_path)
    first, second = log.plan(at(20), at(90)), log.plan(at(90), at(99))
    log.stored(first)
    log = reopened(log, tmp_path)
    assert (log.settled, list(log.unsettled)) == (at(90), [second])
    log.stored(second)
    log = reopened(log, tmp_path)
    assert (log.settled, list(log.unsettled)) == (at(99), [])
    log.close()


def test_batches_are_settled_in_order(tmp_path: Path) -> None:
    log = BatchLog(tmp_path)
    log.plan(at(20), at(90))
    second = log.plan(at(90), at(99))
    with pytest.raises(ValueError, match="not the oldest"):
        log.stored(second)
    log.close()


def test_no_two_tokens_are_equal_and_another_journals_are_others(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    tokens = set()
    for folder in ("a", "b"):
        log = BatchLog(tmp_path / folder)
        for batch in (log.plan(at(1), at(2)), log.plan(at(2), at(3))):
            tokens |= {log.token(batch, table, part) for table in ("spans", "logs") for part in ("", "0", "01")}
        log.close()
    assert len(tokens) == 2 * 2 * 2 * 3


def test_a_torn_last_line_is_a_batch_that_was_never_inserted(tmp_path: Path) -> None:
    log = BatchLog(tmp_path)
    first = log.plan(at(20), at(90))
    log.plan(at(90), at(99))
    log.close()
    file = tmp_path / FILE_NAME
    whole = file.read_bytes()
    for cut in range(len(whole) - len(whole.splitlines(keepends=True)[-1]), len(whole)):
        file.write_bytes(whole[:cut])
        again = BatchLog(tmp_path)
        assert (list(again.unsettled), again.damaged_lines) == ([first], 0)
        again.close()


def test_damage_before_the_end_is_counted_and_unsettled_batches_are_cut_anew(tmp_path: Path) -> None:
    log = BatchLog(tmp_path)
    stored = log.plan(at(20), at(90))
    log.stored(stored)
    log.plan(at(90), at(99))
    log.close()
    file = tmp_path / FILE_NAME
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], b"x" + lines[3][1:], *lines[3:]]))
    again = BatchLog(tmp_path)
    assert (again.damaged_lines, list(again.unsettled), again.settled) == (1, [], at(90))
    again.close()


def test_the_file_stays_short_and_keeps_what_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPACT_BYTES", 500)
    log = BatchLog(tmp_path)
    for number in range(100):
        log.stored(log.plan(at(number), at(number + 1)))
        log.sync()
    last = log.plan(at(100), at(101))
    assert (tmp_path / FILE_NAME).stat().st_size < 1_000
    log = reopened(log, tmp_path)
    assert (log.settled, list(log.unsettled), last.sequence) == (at(100), [last], 100)
    log.close()


def test_a_failed_plan_leaves_the_log_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BatchLog(tmp_path)
    real = os.write

    def short_then_full(descriptor: int, content: memoryview) -> int:
        if len(content) < 10:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[:-5])

    with monkeypatch.context() as full:
        full.setattr(os, "write", short_then_full)
        with pytest.raises(OSError, match="No space left"):
            log.plan(at(1), at(2))
    batch = log.plan(at(1), at(2))
    log = reopened(log, tmp_path)
    assert (list(log.unsettled), log.damaged_lines) == ([batch], 0)
    log.close()
