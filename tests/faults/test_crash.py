"""kill -9 of the whole server under load."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.crash import crash

pytestmark = pytest.mark.e2e


def test_what_was_acknowledged_before_each_kill_is_stored_exactly_once(tmp_path: Path) -> None:
    """Four senders, three kills at seeded moments: nothing lost, nothing doubled, and the runs' facts count all."""
    report = crash(tmp_path, kills=3, rate=1500, alive=(0.5, 1.5))
    assert report.check.acknowledged > 500
    assert report.check.sent_again > 0
    assert (report.check.lost, report.check.doubled, report.check.doubled_rows) == (0, 0, 0)
    assert report.runs_spans == report.stored
    assert report.stored >= report.check.acknowledged
