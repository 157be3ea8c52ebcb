"""A full disk under everything the server writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.full_disk import full_disk, small_disk

pytestmark = pytest.mark.e2e


def test_a_full_disk_is_refused_honestly_and_outlived(tmp_path: Path) -> None:
    """While nothing can be written nothing is acknowledged; with room again the same process takes and stores all."""
    try:
        with small_disk(tmp_path / "disk") as disk:
            report = full_disk(disk, seconds=3, rate=1000)
    except PermissionError as error:
        pytest.skip(f"this user may not mount a file system: {error}")
    assert report.acknowledged_while_full == 0
    assert report.refused_while_full > 0
    assert report.check.acknowledged >= 2000
    assert (report.check.lost, report.check.doubled) == (0, 0)
