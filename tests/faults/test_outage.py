"""The store goes away under a collector that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.outage import outage

pytestmark = pytest.mark.e2e


def test_while_the_store_is_away_all_is_taken_and_afterwards_stored_once(tmp_path: Path) -> None:
    """A ClickHouse endpoint is killed and comes back: every sender was answered, nothing is lost or doubled."""
    report = outage(tmp_path, seconds=4, rate=500)
    assert report.waiting > 0
    assert report.check.acknowledged > report.waiting
    assert (report.check.refused, report.check.sent_again) == (0, 0)
    assert (report.check.lost, report.check.doubled, report.check.doubled_rows) == (0, 0, 0)
