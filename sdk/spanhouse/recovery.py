"""Looks for what processes that are gone have left in the spool, at the start and every half minute."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Final

from spanhouse.delivery import Delivery
from spanhouse.notices import warn_once
from spanhouse.outbox import entries_of
from spanhouse.spool.directory import Spool

_EVERY: Final = 30.0
"""Seconds. Workers that are recycled leave files while their parent, and their siblings, live on."""


class Recovery:
    """Hands the files of the dead to the deliveries of this process.

    Args:
        spool: where they are found.
        deliveries: by the name of the stream.
    """

    def __init__(self, spool: Spool, deliveries: Mapping[str, Delivery[Any]]) -> None:
        self._spool = spool
        self._deliveries = deliveries
        self._reset()
        self_ref = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := self_ref()) and reset())

    def _reset(self) -> None:
        self._looking = threading.Lock()
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Take over what there is now. Never raises for what the disk does."""
        with self._looking:
            if self._stopped.is_set():
                return
            try:
                for stream, file in self._spool.recover():
                    self._deliveries[stream.name].adopt(entries_of(file), file.damaged)
                self._spool.trim()
                self._spool.tidy()
            except OSError as error:
                warn_once("recovery", f"what earlier processes left in {self._spool.root} cannot be read: {error}")

    def start(self) -> None:
        """Look in the background from now on; does nothing where it does already."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spanhouse-recovery", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Take over nothing more."""
        self._stopped.set()
        with self._looking:
            return

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(_EVERY)
