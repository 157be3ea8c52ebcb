"""Which traces had runs long ago: a set that is small, loaded now and then, and wrong only by naming too many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from spanhouse_analysis import frames
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.seen import checksums
from spanhouse_storage import Store, sql

REFRESHED_EVERY: Final = timedelta(hours=12)


class OldTraces:
    """The traces of all runs stored at the last refresh, four bytes each.

    Looking for the earlier runs of every new trace in the whole table would cost more than computing it. This tells the
    few that can have any from the many that are new; one in thousands is looked for in vain.
    """

    def __init__(self) -> None:
        self._sums: npt.NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)
        self._refreshed = datetime.fromtimestamp(0, UTC)

    def refresh(self, store: Store, now: datetime) -> None:
        """Load the set anew where it is older than ``REFRESHED_EVERY``; raises what the store raises."""
        if now - self._refreshed < REFRESHED_EVERY:
            return
        found = frames.from_table(store.query(sql.load("spanhouse_analysis", "old_traces")))
        self._sums = np.unique(found["sum"].to_numpy().astype(np.uint32))
        self._refreshed = now

    def among(self, traces: Sequence[Trace]) -> list[Trace]:
        """Return those of the traces that may have old runs."""
        sums = checksums(traces)
        # Another thread may refresh meanwhile.
        old = self._sums
        places = np.searchsorted(old, sums)
        inside = places < old.size
        known = np.zeros(len(traces), dtype=np.bool_)
        known[inside] = old[places[inside]] == sums[inside]
        return [trace for trace, held in zip(traces, known, strict=True) if held]
