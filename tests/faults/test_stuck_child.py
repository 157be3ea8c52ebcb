"""A decode child that stops answering."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.stuck_child import stuck_child

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("wake", [True, False], ids=["it goes on", "it is killed while stopped"])
def test_a_stopped_decode_child_holds_up_no_sender_and_costs_no_span(tmp_path: Path, *, wake: bool) -> None:
    """Requests are acknowledged while the child is stopped; afterwards it, or its successor, decodes them all."""
    report = stuck_child(tmp_path, seconds=2, rate=1000, wake=wake)
    assert report.acknowledged_meanwhile > 0
    assert report.replaced is not wake
    assert report.check.refused == 0
    assert (report.check.lost, report.check.doubled, report.check.doubled_rows) == (0, 0, 0)
