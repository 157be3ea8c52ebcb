"""Requests to delete, carried out in a thread; what a crash interrupts goes on at the next start."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from spanhouse_analysis.metrics.rollups import mark_dirty, times_of
from spanhouse_collector.pipeline import Pipeline
from spanhouse_server.deletions import letters, table
from spanhouse_server.deletions.proof import Line, Proof
from spanhouse_server.deletions.table import Request
from spanhouse_storage.contract import Store, StoreUnavailableError
from spanhouse_storage.erasure import TABLES, Keys, Subject, counts, erase, find, others, span_times
from spanhouse_storage.inspection import engine_seconds, outdated_parts
from spanhouse_storage.tombstones import Marked, Tombstones, hashed, salt_of

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 30.0
_ROUNDS: Final = 5
_POLL_SECONDS: Final = 0.5
_STALE_SECONDS: Final = 1.5
"""Other collectors know of a new tombstone after this."""


class Erasing:
    """Takes requests and carries them out. `begin` and `plan` may be called from any thread.

    Args:
        store: the store itself, not one narrowed to what is kept: what nobody may read any more goes too.
        state: keeps the requests.
        pipeline: may still hold records of whoever is meant.
        tombstones: keep what arrives late out.
        proof: writes down what was done.
        clock: the time, aware.
        window: how long what arrives late is refused.
        forget: called once rows are deleted, for whoever keeps some in memory.
    """

    def __init__(
        self,
        store: Store,
        state: Engine,
        pipeline: Pipeline,
        tombstones: Tombstones,
        proof: Proof,
        *,
        clock: Callable[[], datetime],
        window: timedelta,
        forget: Callable[[], None],
    ) -> None:
        self._store, self._state, self._pipeline = store, state, pipeline
        self._tombstones, self._proof, self._clock, self._window = tombstones, proof, clock, window
        self._forget = forget
        self._salt = salt_of(state)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def plan(self, subject: Subject) -> dict[str, Any]:
        """Return what a deletion would take now: rows by table, and what shares its traces."""
        keys = find(self._store, subject)
        return {
            "tenant": subject.tenant,
            "kind": subject.kind,
            "traces": len(keys.traces),
            "runs": len(keys.runs),
            "tables": counts(self._store, subject, keys),
            "shared_with": others(self._store, subject, keys),
        }

    def begin(self, subject: Subject, *, by: str, reason: str) -> Request:
        """Write a request down, refuse what arrives of it from now on, and return it; it is carried out at once."""
        now = self._clock()
        request = Request(
            id=secrets.token_hex(8),
            state="waiting",
            subject=subject,
            subject_hash=hashed(self._salt, subject.kind, subject.tenant, subject.value),
            keys=Keys(),
            before={},
            by=by,
            reason=reason,
            requested_at=now,
            removed_at=0,
            error="",
            receipt={},
        )
        table.add(self._state, request)
        self._mark_subject(request)
        self._wake.set()
        return request

    def start(self) -> None:
        """Carry out in a thread what is not done, until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="spanhouse-erasing")
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the statement it is in; what is left is done after the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def tick(self) -> bool:
        """Carry out what can be now; return whether nothing is left open."""
        self._tombstones.expire()
        for request in table.unfinished(self._state):
            if self._stopping.is_set():
                return False
            try:
                self._carry_on(request)
            except Exception as error:
                log.exception("deletion %s could not go on; trying again", request.id)
                table.note(self._state, request.id, error=str(error)[:2_000])
        return not table.unfinished(self._state)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                done = self.tick()
            except Exception:
                log.exception("requests to delete could not be read; trying again")
                done = False
            self._wake.wait(30.0 if done else _POLL_SECONDS)

    def _mark_subject(self, request: Request) -> None:
        subject, now = request.subject, request.requested_at
        # A person or a session may go on later; a request or a run is over.
        before = now if subject.kind in {"user", "session"} else None
        mark = Marked(subject.kind, subject.tenant, subject.value, before)
        self._tombstones.add([mark], request.id, now + self._window)

    def _carry_on(self, request: Request) -> None:
        if request.state == "waiting":
            request = self._find(request)
        if request.state == "deleting":
            request = self._delete(request)
        if request.state == "clearing" and not self._on_disk(request):
            self._finish(request)

    def _on_disk(self, request: Request) -> int:
        """Return how many parts that held the rows are still on disk; what others write meanwhile is none of them."""
        return outdated_parts(self._store, TABLES, request.removed_at)

    def _find(self, request: Request) -> Request:
        self._mark_subject(request)
        self._pipeline.drain(DRAIN_SECONDS)
        if self._store.info.kind == "server":
            self._stopping.wait(_STALE_SECONDS)
        keys = find(self._store, request.subject)
        before = counts(self._store, request.subject, keys)
        self._remember(request, keys)
        table.note(self._state, request.id, state="deleting", before=json.dumps(before), error="")
        return table.get(self._state, request.id)

    def _delete(self, request: Request) -> Request:
        subject, keys = request.subject, request.keys
        for _ in range(_ROUNDS):
            # Metrics of these hours are read from runs, not from parts kept of them, before and after.
            changed = times_of(self._store, subject.tenant, {*keys.runs, *keys.traces})
            mark_dirty(self._store, subject.tenant, changed)
            erase(self._store, subject, keys)
            mark_dirty(self._store, subject.tenant, changed)
            self._forget()
            late = find(self._store, subject)
            if not counts(self._store, subject, keys.also(late)):
                break
            keys = keys.also(late)
            self._remember(request, keys)
        letters.erase(self._pipeline.dead_letters, [subject.value], keys.traces, request.id)
        if not self._pipeline.forget(DRAIN_SECONDS):
            msg = "the journal still holds records that are not stored: the store is behind or away"
            raise StoreUnavailableError(msg)
        # What was under way before the tombstones is stored now, and may be kept.
        self._forget()
        table.note(self._state, request.id, state="clearing", removed_at=engine_seconds(self._store), error="")
        return table.get(self._state, request.id)

    def _remember(self, request: Request, keys: Keys) -> None:
        """Write keys down before their rows go: nothing else tells afterwards where the rest of a trace stands."""
        self._tombstones.add(keys.marks(request.subject.tenant), request.id, request.requested_at + self._window)
        table.note(self._state, request.id, keys=keys.as_text())

    def _finish(self, request: Request) -> None:
        subject, keys, now = request.subject, request.keys, self._clock()
        left = counts(self._store, subject, keys.also(find(self._store, subject)))
        if left:
            # Something came back meanwhile, from a process that did not know yet.
            table.note(self._state, request.id, state="deleting", error=f"found again: {left}")
            return
        first, last = span_times(self._store, subject, keys)
        lines = [
            Line(subject.tenant, name, _what(name), rows, first, last, subject=request.subject_hash)
            for name, rows in request.before.items()
        ]
        lines = lines or [Line(subject.tenant, "", "rows", 0, subject=request.subject_hash)]
        self._proof.write(request.id, "request", request.by, lines, now)
        receipt = {
            "deletion": request.id,
            "tenant": subject.tenant,
            "kind": subject.kind,
            "subject_sha256": request.subject_hash,
            "requested_at": request.requested_at.isoformat(),
            "completed_at": now.isoformat(),
            "by": request.by,
            "reason": request.reason,
            "before": request.before,
            "after": left,
            "traces_sha256": sorted(hashed(self._salt, "trace", subject.tenant, each) for each in keys.traces)[:1_000],
            "verified": {
                "rows_found_again": sum(left.values()),
                "parts_still_on_disk": self._on_disk(request),
                "journal": "what this server's journal held before is deleted",
            },
            "refused_until": (request.requested_at + self._window).isoformat(),
        }
        table.note(
            self._state,
            request.id,
            state="done",
            subject="",
            keys=Keys().as_text(),
            receipt=json.dumps(receipt),
            error="",
        )


def _what(name: str) -> str:
    return "body" if name in {"audit_events", "metric_points.exemplars"} else "rows"
