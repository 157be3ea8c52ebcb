"""Jobs that run in one place: of several servers on one state database the one that holds the lease runs them."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spanhouse_storage import leases

log = logging.getLogger(__name__)

LEASE_NAME: Final = "jobs"
LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 2.0


class Job(Protocol):
    """Something that runs in threads of its own between `start` and `stop`, again and again."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Return when nothing of it runs any more."""
        ...


class Leadership:
    """Runs jobs while this process holds the lease, and stops them before the lease can be another's.

    Args:
        state: the database that the servers share.
        jobs: started in this order and stopped in the reverse one.
        lease: seconds after which a server that was killed has lost its place.
        renew: seconds between two renewals.
    """

    def __init__(
        self,
        state: Engine,
        jobs: Sequence[Job],
        *,
        lease: float = LEASE_SECONDS,
        renew: float = RENEW_SECONDS,
    ) -> None:
        self._state, self._jobs, self._lease, self._renew = state, jobs, lease, renew
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._leading = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def leading(self) -> bool:
        """Whether the jobs run here."""
        return self._leading

    def start(self) -> None:
        """Try for the lease at once and from then on in a thread."""
        self._look()
        self._thread = threading.Thread(target=self._run, name="spanhouse-leadership")
        self._thread.start()

    def stop(self) -> None:
        """Stop the jobs and let another server take over at once."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._step_down()
        try:
            leases.give_back(self._state, LEASE_NAME, self.holder)
        except SQLAlchemyError as error:
            log.warning("the lease could not be given back and runs out by itself: %s", error)

    def _run(self) -> None:
        while not self._stopping.wait(self._renew):
            self._look()

    def _look(self) -> None:
        try:
            held = leases.take(self._state, LEASE_NAME, self.holder, self._lease)
        except SQLAlchemyError as error:
            # Nobody else can take it from a database that does not answer, but it may answer them and not us.
            log.warning("the state database does not answer, so jobs stop here: %s", error)
            held = False
        if held and not self._leading:
            log.info("this server runs the jobs from now on")
            self._leading = True
            for job in self._jobs:
                job.start()
        elif not held:
            self._step_down()

    def _step_down(self) -> None:
        if self._leading:
            self._leading = False
            for job in reversed(self._jobs):
                job.stop()


class Alone:
    """Runs jobs from start to stop: a process that owns its store has nobody to share them with."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self.leading = True

    def start(self) -> None:
        """Start the jobs in order."""
        for job in self._jobs:
            job.start()

    def stop(self) -> None:
        """Stop them in reverse."""
        for job in reversed(self._jobs):
            job.stop()
