"""Parts of metrics kept by hour and day, so that long windows are answered from few rows."""

from __future__ import annotations

from spanhouse_analysis.metrics.rollups.marks import mark_dirty, times_of

__all__ = ["mark_dirty", "times_of"]
