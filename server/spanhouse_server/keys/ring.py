"""The keys in memory, at most half a minute old: what every request is checked against."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spanhouse.errors import SpanhouseError
from spanhouse_server.keys import secret, table
from spanhouse_server.keys.refusals import Why
from spanhouse_server.keys.table import Key

FRESH: Final = timedelta(seconds=30)
"""How old what is known may be: a key revoked by another process is refused after this at the latest."""

LOST: Final = timedelta(seconds=60)
"""How old it may become while the state database does not answer; then nobody is let in."""

_ASKED_AGAIN: Final = timedelta(seconds=1)
"""How soon a key that is not known is looked for again: it may have been made a moment ago."""

_NO_KEY: Final = secret.digest("")

log = logging.getLogger(__name__)


class KeysUnavailableError(SpanhouseError):
    """The state database did not answer for so long that nobody can say which keys are good."""


class KeyRing:
    """Knows which keys are good. Calls are safe from any thread.

    Args:
        engine: the state database.
        clock: the time, aware.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self.engine = engine
        self.clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._read_at: datetime | None = None
        self._used: dict[str, datetime] = {}

    def find(self, text: str) -> Key | None:
        """Return the good key whose text this is; None where there is none, it was revoked or has run out.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        found = self.judge(text)
        return found if isinstance(found, Key) else None

    def judge(self, text: str) -> Key | Why:
        """Return the good key whose text this is, else why there is none.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        now = self.clock()
        key_id = secret.id_of(text)
        if key_id is None:
            return Why.UNKNOWN if text else Why.NO_KEY
        with self._lock:
            self._refresh(now, FRESH)
            key = self._keys.get(key_id)
            if key is None:
                self._refresh(now, _ASKED_AGAIN)
                key = self._keys.get(key_id)
            # A secret is compared whether the id is known or not, so that time does not tell which ids are.
            good = secret.proves(text, key.hash if key is not None else _NO_KEY)
            if key is None or not good:
                return Why.UNKNOWN
            if key.state(now) != "active":
                return Why(key.state(now))
            self._used[key.id] = now
            return key

    def by_id(self, key_id: str) -> Key | None:
        """Return the good key with this id, for whoever proved to hold it before.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        now = self.clock()
        with self._lock:
            self._refresh(now, FRESH)
            key = self._keys.get(key_id)
        return key if key is not None and key.state(now) == "active" else None

    def any(self) -> bool:
        """Return whether there ever was a key: one that was revoked counts, or revoking the last would open the door.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        with self._lock:
            self._refresh(self.clock(), FRESH)
            return bool(self._keys)

    def changed(self) -> None:
        """Forget what is known: the next request reads it anew."""
        with self._lock:
            self._read_at = None

    def flush(self) -> None:
        """Write down when keys were used last."""
        with self._lock:
            self._write_used()

    def _refresh(self, now: datetime, age: timedelta) -> None:
        if self._read_at is not None and timedelta(0) <= now - self._read_at < age:
            return
        try:
            self._write_used()
            self._keys = {key.id: key for key in table.all_keys(self.engine)}
        except SQLAlchemyError as error:
            if self._read_at is None or now - self._read_at >= LOST:
                msg = "the state database does not answer, so no key can be checked: try again"
                raise KeysUnavailableError(msg) from error
            log.warning("keys could not be read again, those of %s stay in force: %s", self._read_at, error)
            return
        self._read_at = now

    def _write_used(self) -> None:
        if self._used:
            table.used(self.engine, self._used)
            self._used = {}
