"""Retention carried out: what is past its time is removed in bounded steps, in a thread, and each step written down."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from spanhouse_collector.redaction.capture import CONTENT_KEYS, CONTENT_PREFIXES
from spanhouse_server.deletions.proof import Line, Proof
from spanhouse_storage.contract import Store
from spanhouse_storage.expiry import ContentKeys, Removed, remove
from spanhouse_storage.retention import Retention, removed_by, shown
from spanhouse_storage.state import get_watermark, set_watermark

log = logging.getLogger(__name__)

EVERY: Final = timedelta(minutes=10)
_NAP_SECONDS: Final = 5.0
_MARKS: Final = "retention"
_KEYS: Final = ContentKeys(CONTENT_KEYS, CONTENT_PREFIXES)


class Marks:
    """Up to when content is gone, by tenant; holds for the retention it was removed under and for no other.

    Args:
        state: the state database; every server reads what the one that removes has written.
        retention: returns the lives that hold now.
    """

    def __init__(self, state: Engine, retention: Callable[[], Retention]) -> None:
        self._state, self._retention = state, retention
        self._known: tuple[Retention | None, str] = (None, "")

    def removed(self) -> Mapping[str, datetime]:
        """Return the marks; none where content of this retention was not removed yet."""
        retention = self._retention()
        if retention.is_forever("content"):
            return {}
        said = get_watermark(self._state, _MARKS)
        if said is None:
            return {}
        marks = json.loads(said)
        if marks["retention"] != self._digest(retention):
            return {}
        return {tenant: datetime.fromtimestamp(edge, UTC) for tenant, edge in marks["removed"].items()}

    def write(self, retention: Retention, removed: Mapping[str, datetime]) -> None:
        """Say that content is gone up to these times."""
        edges = {tenant: int(edge.timestamp()) for tenant, edge in removed.items()}
        set_watermark(self._state, _MARKS, json.dumps({"retention": self._digest(retention), "removed": edges}))

    def _digest(self, retention: Retention) -> str:
        if self._known[0] is not retention:
            text = f"{retention.default} {sorted(retention.tenants.items())}"
            self._known = retention, hashlib.sha256(text.encode()).hexdigest()
        return self._known[1]


class Expiring:
    """Removes what is past its time. `tick` is for one thread at a time; `start` gives it one.

    Args:
        store: the store itself, not one narrowed to what is kept.
        retention: returns the lives that hold now.
        marks: told up to when content is gone.
        proof: writes down what was removed.
        clock: the time, aware.
    """

    def __init__(
        self,
        store: Store,
        retention: Callable[[], Retention],
        marks: Marks,
        proof: Proof,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._retention, self._marks = store, retention, marks
        self._proof, self._clock = proof, clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Remove at once, then every ten minutes and whenever the policy changes, until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="spanhouse-expiring")
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the statement it is in."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def tick(self, *, eager: bool = False) -> bool:
        """Remove some of what is past its time; return whether nothing is left to do now."""
        retention, now = self._retention(), self._clock()
        done = remove(
            self._store,
            retention,
            now,
            keys=_KEYS,
            note=lambda found: self._note(retention, found, now),
            eager=eager,
        )
        if done and not retention.is_forever("content"):
            self._marks.write(retention, removed_by(retention, now))
        return done

    def _note(self, retention: Retention, found: list[Removed], now: datetime) -> None:
        lines = [
            Line(
                each.tenant,
                each.table,
                each.what,
                each.rows,
                each.first,
                each.last,
                policy=f"{each.kind}: {shown(retention.of(each.tenant).of(each.kind))}",
            )
            for each in found
        ]
        self._proof.write(f"retention-{secrets.token_hex(8)}", "retention", "retention", lines, now)

    def _run(self) -> None:
        due, held = self._clock(), self._retention()
        while not self._stopping.is_set():
            retention, now = self._retention(), self._clock()
            if now >= due or retention is not held:
                held = retention
                try:
                    due = now if not self.tick() else now + EVERY
                except Exception:
                    log.exception("retention could not be carried out; trying again")
                    due = now + timedelta(seconds=30)
            if due > now:
                self._stopping.wait(_NAP_SECONDS)
