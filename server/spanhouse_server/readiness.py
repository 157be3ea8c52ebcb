"""Whether the server can take work: what stands behind ``/readyz``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from spanhouse_analysis.job import FactsJob
from spanhouse_collector.pipeline import Pipeline
from spanhouse_storage.contract import StorageError, Store

JOURNAL_FULL: Final = 0.98
"""Share of the journal's limit from which a larger body may not fit any more."""


@dataclass(frozen=True, slots=True)
class Ready:
    """One look at the server.

    Attributes:
        reasons: why it can take no work, in words; none where it can.
        figures: journal lag and the state of the store, for the answer.
    """

    reasons: list[str]
    figures: dict[str, Any]


class Readiness:
    """Looks at journal and store, and remembers since when the store is away. Safe for threads.

    Args:
        journal_limit: bytes the journal may have.
        grace: seconds the store may be away; so long the journal holds what comes, and senders notice nothing.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        facts: FactsJob,
        *,
        journal_limit: int,
        grace: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._pipeline, self._facts = store, pipeline, facts
        self._journal_limit, self._grace, self._clock = journal_limit, grace, clock
        self._away_since: float | None = None
        self._lock = threading.Lock()

    def look(self) -> Ready:
        """Return how the server is at this moment."""
        error = self._ask()
        away = max(self._away(error), self._pipeline.store_away_seconds())
        lag, refusal = self._pipeline.lag(), self._pipeline.refusal()
        reasons = []
        if away > self._grace:
            what = error or "inserts fail"
            reasons.append(f"the store has been away for {away:.0f} s: {what}")
        if refusal:
            reasons.append(refusal)
        elif lag.journal_bytes > JOURNAL_FULL * self._journal_limit:
            reasons.append(
                f"the journal is full: {lag.journal_bytes} of {self._journal_limit} bytes; the store is behind, or "
                "raise SPANHOUSE_JOURNAL_LIMIT"
            )
        figures = {
            "pending_items": lag.items,
            "pending_records": lag.records,
            "pending_seconds": lag.seconds,
            "journal_bytes": lag.journal_bytes,
            "journal_limit": self._journal_limit,
            "pending_traces": self._facts.pending(),
            "store": self._store.info.kind,
            "store_error": error or None,
            "store_away_seconds": away,
        }
        return Ready(reasons, figures)

    def _ask(self) -> str:
        try:
            self._store.query("SELECT 1")
        except StorageError as error:
            return str(error)
        return ""

    def _away(self, error: str) -> float:
        with self._lock:
            if not error:
                self._away_since = None
            elif self._away_since is None:
                self._away_since = self._clock()
            return 0.0 if self._away_since is None else self._clock() - self._away_since
