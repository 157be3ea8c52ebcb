"""Who is logged in to the pages: a browser cannot send a header, so it trades a key for a cookie."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LASTS: Final = timedelta(hours=12)
MOST: Final = 10_000
COOKIE: Final = "spanhouse_session"
PREFIX: Final = "shs_"


@dataclass(frozen=True, slots=True)
class Session:
    """One login: the key it was made with (empty for the operator's token) and when it ends."""

    key: str
    ends: datetime


class Sessions:
    """Logins of this process, in memory: a restart ends them. Calls are safe from any thread."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._ticket = ""

    def open(self, key: str) -> str:
        """Return the cookie of a new session for the holder of a key, or of the operator's token where it is empty."""
        cookie = PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            self._sessions = {name: each for name, each in self._sessions.items() if each.ends > now}
            while len(self._sessions) >= MOST:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_digest(cookie)] = Session(key, now + LASTS)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None where it has ended or never was."""
        with self._lock:
            found = self._sessions.get(_digest(cookie))
        return found if found is not None and found.ends > self._clock() else None

    def ticket(self) -> str:
        """Return a new ticket, which logs the operator in once; the one before is void."""
        text = "sht_" + secrets.token_urlsafe(32)
        with self._lock:
            self._ticket = _digest(text)
        return text

    def redeem(self, text: str) -> bool:
        """Return whether this is the ticket; it is void from then on."""
        with self._lock:
            good = bool(self._ticket) and secrets.compare_digest(_digest(text), self._ticket)
            if good:
                self._ticket = ""
        return good


def _digest(text: str) -> str:
    # Looked up by its hash: how long that takes says nothing about the cookie.
    return hashlib.sha256(text.encode()).hexdigest()
