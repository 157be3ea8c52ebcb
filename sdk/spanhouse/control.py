"""Control flags as an agent sees them: stop, pause, disable and tighten, kept fresh by one background thread.

The poller keeps the last flags it heard of while the server is away, over a restart of the agent too, and says how old
its news is, so that whoever asks can decide to go on or to stop.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

from spanhouse.errors import ServerError
from spanhouse.flag_cache import FlagCache, default_path
from spanhouse.notices import warn_once

SEVERITY = ("stop", "disable", "pause", "tighten", "raise", "refuse_next", "edit_next", "grant", "enable")
"""Actions, the strongest first: where several flags match, the strongest answers."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One control flag: what an operator or an alert wants done, to whom, by whom and until when (seconds, Unix).

    Attributes:
        limits: what ``tighten`` and ``raise`` change, such as ``{"max_usd": 0.1}``.
        tool: whose next call ``edit_next`` and ``refuse_next`` mean; empty for any tool's. What ``grant`` lets through.
        arguments: what ``edit_next`` has the call made with.
        resources: for ``grant``: globs of the paths and URLs, by the argument that names them.
    """

    id: str
    action: str
    scope: str
    target: str = ""
    tenant: str = ""
    reason: str = ""
    by: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    tool: str = ""
    arguments: Mapping[str, Any] | None = None
    resources: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> Self:
        """Return the flag the API sent; null fields become empty text."""
        return cls(
            id=str(said.get("id") or ""),
            action=str(said["action"]),
            scope=str(said["scope"]),
            target=str(said.get("target") or ""),
            tenant=str(said.get("tenant") or ""),
            reason=str(said.get("reason") or ""),
            by=str(said.get("by") or ""),
            created_at=_seconds(said.get("created_at")),
            expires_at=_seconds(said.get("expires_at")),
            limits={str(name): float(value) for name, value in (said.get("limits") or {}).items()},
            tool=str(said.get("tool") or ""),
            arguments=said.get("arguments"),
            resources=dict(said.get("resources") or {}),
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about: a flag matches where its scope and target name one of these."""

    run_id: str = ""
    agent: str = ""
    tenant: str = ""
    tools: Collection[str] = ()
    user: str = ""

    def matches(self, flag: Flag) -> bool:
        """Return whether the flag is meant for this subject."""
        if flag.tenant and flag.tenant != self.tenant:
            return False
        if flag.scope == "tool":
            return flag.target in self.tools
        if flag.scope == "all":
            return True
        named = {"run": self.run_id, "agent": self.agent, "user": self.user, "tenant": self.tenant}
        return bool(flag.target) and named.get(flag.scope) == flag.target


def in_force(flags: Sequence[Flag], subject: Subject, now: float) -> list[Flag]:
    """Return the flags in force that match the subject, in the order given."""
    return [flag for flag in flags if (flag.expires_at is None or flag.expires_at > now) and subject.matches(flag)]


def strongest(flags: Sequence[Flag], subject: Subject, now: float) -> Flag | None:
    """Return the flag in force that matches the subject: the strongest action, then the newest; None for none."""
    return first_of(in_force(flags, subject, now))


def first_of(meant: Sequence[Flag]) -> Flag | None:
    """Return the flag with the strongest action, of equal ones the newest; None for none."""
    if not meant:
        return None
    rank = {action: place for place, action in enumerate(SEVERITY)}
    # An action this version does not know is weaker than all it knows: it cannot be obeyed.
    return min(meant, key=lambda flag: (rank.get(flag.action, len(rank)), -(flag.created_at or 0.0)), default=None)


class FlagSource(Protocol):
    """Where flags come from; ``spanhouse.client.Client`` is one."""

    def control(self, since: str | None = None, wait: float | None = None) -> dict[str, Any] | None:
        """Return ``{"etag", "flags"}``, or None where nothing changed within ``wait`` seconds."""


class ControlPoller:
    """Long-polls the server for control flags; a change is known here within about a second.

    Args:
        source: the API client.
        wait: seconds the server may hold an answer back. A flag set meanwhile is answered at once.
        retry: seconds between tries while the server is away.
        cache: file that keeps the last flags and when they were heard, so that an agent that starts while the server
            is silent goes on with them; "" for none. By default a file in the user's cache directory, one for each
            server and token; ``SPANHOUSE_CONTROL_CACHE`` names another directory, or none where it is empty.
        monotonic: a clock for ages, in seconds.
        now: the wall clock for expiry, in seconds since 1970.
    """

    def __init__(
        self,
        source: FlagSource,
        *,
        wait: float = 5.0,
        retry: float = 0.5,
        cache: str | Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._wait = wait
        self._retry = retry
        self._monotonic = monotonic
        self._now = now
        self._flags: tuple[Flag, ...] = ()
        self._etag: str | None = None
        self._heard: float | None = None
        path = default_path(source, os.environ) if cache is None else Path(cache) if str(cache) else None
        self._cache = FlagCache(path, now) if path is not None else None
        self._remember()
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start polling in the background; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="spanhouse-control", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop polling. A request the server holds back is left to end by itself."""
        self._stop.set()

    def wait_for_first(self, timeout: float) -> bool:
        """Wait until the server was heard for the first time; False where that took longer than ``timeout`` s."""
        return self._first.wait(timeout)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """All flags last heard of."""
        return self._flags

    def matching(
        self,
        run_id: str = "",
        agent: str = "",
        tenant: str = "",
        tools: Collection[str] = (),
        user: str = "",
    ) -> Flag | None:
        """Return the strongest flag in force that is meant for this run, agent, tenant, user or one of these tools."""
        return first_of(self.meant(run_id, agent, tenant, tools, user))

    def meant(
        self,
        run_id: str = "",
        agent: str = "",
        tenant: str = "",
        tools: Collection[str] = (),
        user: str = "",
    ) -> list[Flag]:
        """Return all flags in force that are meant for any of these, oldest first."""
        if not self._flags:
            return []
        subject = Subject(run_id=run_id, agent=agent, tenant=tenant, tools=tools, user=user)
        return in_force(self._flags, subject, self._now())

    def age(self) -> float:
        """Return the seconds since the server was last heard, by a former process too; infinite where it never was."""
        return float("inf") if self._heard is None else self._monotonic() - self._heard

    def poll_once(self) -> None:
        """Ask the server once, waiting for a change.

        Raises:
            ServerError: the server refused or is away; the flags stay as they were.
        """
        # The first question must not wait: there are flags to learn before there are changes.
        answer = self._source.control(since=self._etag, wait=self._wait if self._etag else None)
        if answer is not None:
            self._flags = tuple(Flag.parse(flag) for flag in answer["flags"])
            self._etag = answer["etag"]
            self._said = tuple(answer["flags"])
        self._heard = self._monotonic()
        self._first.set()
        if self._cache is not None:
            self._cache.write(self._said)

    _said: Sequence[Mapping[str, Any]] = ()

    def _remember(self) -> None:
        kept = self._cache.read() if self._cache is not None else None
        if kept is None:
            return
        try:
            self._flags = tuple(Flag.parse(flag) for flag in kept.flags)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            warn_once("control", f"the kept control flags cannot be read and are left out: {error}")
            return
        self._heard = self._monotonic() - kept.age

    def _poll(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll_once()
            except (ServerError, KeyError, ValueError, TypeError, AttributeError) as error:
                # Flags stay as they were; age() tells the runtime how long nothing was heard.
                warn_once("control", f"control flags cannot be read and stay as they were: {error}")
                self._stop.wait(self._retry * random.uniform(0.5, 1.0))  # noqa: S311 - spreads agents over time


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
