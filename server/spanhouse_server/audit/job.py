"""Checkpoints taken as time goes: a minute after a change, or 1,000 events, and every hour without any."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from spanhouse_server.audit import keyring, table
from spanhouse_server.audit.checkpoint import FIRST, Checkpoint, Head, Signed
from spanhouse_server.audit.configuration import note_changes
from spanhouse_server.audit.mirror import Mirror, MirrorError
from spanhouse_server.audit.signing import SigningKey
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.audit_heads import StreamEnd, audit_heads
from spanhouse_storage.retention import Retention, cutoff
from spanhouse_storage.state import set_watermark

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 10.0
"""Between two looks at what changed."""
AFTER_CHANGE: Final = timedelta(minutes=1)
AFTER_EVENTS: Final = 1_000
HEARTBEAT: Final = timedelta(hours=1)
"""A checkpoint that is not there an hour after the last is one that somebody took away."""
LOOK_BACK: Final = timedelta(minutes=10)
"""Events may be stored that long after they were received; what takes longer is found by the look of each hour."""
DEEP_LOOK: Final = timedelta(hours=25)
MOST_HEADS: Final = 2_000
TROUBLE: Final = "audit.mirrors"
"""Watermark: what the files of checkpoints could not be brought up for; empty where they are."""


class Checkpointing:
    """Takes checkpoints. `tick` is for one thread at a time; `start` gives it one.

    Args:
        store: the store itself, not one narrowed to what is kept.
        state: keeps the checkpoints.
        key: returns the key that signs now.
        mirrors: where copies go.
        retention: returns the lives that hold now.
        clock: the time, aware.
        configuration: returns the fingerprint of each part of the configuration, whose changes are told of.
    """

    def __init__(
        self,
        store: Store,
        state: Engine,
        key: Callable[[], SigningKey],
        mirrors: Sequence[Mirror],
        *,
        retention: Callable[[], Retention],
        clock: Callable[[], datetime],
        configuration: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._store, self._state, self._key, self._mirrors = store, state, key, mirrors
        self._retention, self._clock, self._configuration = retention, clock, configuration
        self._signed: dict[tuple[str, str], tuple[Head, datetime]] = {}
        self._deep_at: datetime | None = None
        self._said: str | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look in a thread until `stop`."""
        self._stopping.clear()
        # Another process may have taken checkpoints since this one last did.
        self._signed, self._deep_at, self._said = {}, None, None
        self._thread = threading.Thread(target=self._run, name="spanhouse-checkpoints")
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def tick(self, *, eager: bool = False) -> list[Checkpoint]:
        """Take the checkpoints that are due, with ``eager`` of whatever changed, and copy them; return them."""
        now = self._clock()
        note_changes(self._state, self._configuration(), now)
        newest = table.newest(self._state)
        changed = self._changed(now, newest)
        taken: list[Checkpoint] = []
        for tenant in sorted({*changed, *newest}):
            last = newest.get(tenant)
            if not _is_due(changed.get(tenant, []), last, now, eager=eager):
                continue
            ends = changed.get(tenant, [])
            for first in range(0, max(1, len(ends)), MOST_HEADS):
                last = self._take(tenant, ends[first : first + MOST_HEADS], last, now)
                newest[tenant] = last
                taken.append(last.checkpoint)
        self._copy(newest)
        return taken

    def _changed(self, now: datetime, newest: Mapping[str, Signed]) -> dict[str, list[StreamEnd]]:
        """Return, by tenant, the streams that have grown since their head was signed."""
        since = now - LOOK_BACK
        if self._deep_at is None or now - self._deep_at >= HEARTBEAT:
            last = max((each.checkpoint.time for each in newest.values()), default=None)
            # Without a checkpoint everything there is has to be signed.
            since = datetime.fromtimestamp(0, now.tzinfo) if last is None else min(last, now) - DEEP_LOOK
            self._remember(since)
            self._deep_at = now
        found = [end for end in audit_heads(self._store, since) if self._is_new(end)]
        return {tenant: list(ends) for tenant, ends in groupby(found, key=lambda end: end.tenant)}

    def _remember(self, since: datetime) -> None:
        """Know the heads that were signed since a time, and forget older ones."""
        self._signed = {}
        for signed in table.since(self._state, since):
            for head in signed.checkpoint.heads:
                self._signed[signed.checkpoint.tenant, head.stream] = head, signed.checkpoint.time

    def _is_new(self, end: StreamEnd) -> bool:
        known = self._signed.get((end.tenant, end.stream))
        # A stream that is shorter than what was signed is not signed again: the former head has to stand.
        return known is None or end.seq > known[0].seq

    def _take(self, tenant: str, ends: Sequence[StreamEnd], last: Signed | None, now: datetime) -> Signed:
        key, before = self._key(), last.checkpoint if last else None
        keyring.register(self._state, key.public, now)
        life = cutoff(self._retention().of(tenant).of("audit"), now)
        gone = [time for time in (before.kept_from if before else None, life) if time is not None]
        checkpoint = Checkpoint(
            tenant=tenant,
            number=before.number + 1 if before else 1,
            time=now,
            previous=before.hash if before else FIRST,
            heads=tuple(Head(end.stream, end.seq, end.hash) for end in ends),
            events=sum(end.events for end in ends),
            kept_from=max(gone, default=None),
            key_id=key.public.id,
        )
        signed = Signed(checkpoint, key.sign(checkpoint.text()))
        table.add(self._state, signed)
        for head in checkpoint.heads:
            self._signed[tenant, head.stream] = head, now
        return signed

    def _copy(self, newest: dict[str, Signed]) -> None:
        trouble: list[str] = []
        for mirror in self._mirrors:
            try:
                mirror.bring_up(newest)
            except MirrorError as error:
                trouble.append(str(error))
        said = "; ".join(trouble)
        if said != self._said:
            set_watermark(self._state, TROUBLE, said)
            self._said = said
            if said:
                log.error("%s", said)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._try()
            self._stopping.wait(EVERY_SECONDS)
        # What came since the last one would else be unsigned for as long as nothing runs.
        self._try(eager=True)

    def _try(self, *, eager: bool = False) -> None:
        try:
            self.tick(eager=eager)
        except IntegrityError:
            # Another process holds the lease by now and was first; its checkpoint stands.
            log.info("a checkpoint was taken by another process")
            self._deep_at = None
        except Exception:
            log.exception("no checkpoint of the audit trail could be taken; trying again")


def _is_due(ends: Sequence[StreamEnd], last: Signed | None, now: datetime, *, eager: bool) -> bool:
    waited = now - last.checkpoint.time if last else AFTER_CHANGE
    if not ends:
        return waited >= HEARTBEAT
    return eager or waited >= AFTER_CHANGE or sum(end.fresh for end in ends) >= AFTER_EVENTS
