"""The outbox worker: every queued notice goes out once it can, each receiver on its own.

A notice is marked as sent after its receiver has acknowledged it. A process killed between the two sends it again with
the same key, so it is told at least once, and at most once more a crash.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Engine, Row, select, update

from spanhouse_alerts.notify import webhook
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import Receiver
from spanhouse_alerts.state import micros, moment, outbox

log = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=5)
LONGEST_WISH = timedelta(hours=1)
WORKERS = 8
_LOOK_SECONDS = 1.0
_BATCH = 100

Send = Callable[[Receiver, str, Mapping[str, Any], datetime], None]
Clock = Callable[[], datetime]


def send(receiver: Receiver, key: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Send one notice to one receiver and return once it is acknowledged; raises `DeliveryError` otherwise."""
    if receiver.webhook is not None:
        webhook.post(receiver.webhook, key, payload, now)
    else:
        from spanhouse_alerts.notify import apprise_  # noqa: PLC0415 - a quarter of a second of every start

        apprise_.post(receiver, key, payload)


def retry_delay(attempts: int, wish: timedelta | None = None) -> timedelta:
    """Return how long to wait after the n-th failed attempt: 1 s, doubling to 5 min; longer where the receiver asks."""
    doublings = min(max(attempts - 1, 0), 20)
    delay = min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY)
    return max(delay, min(wish, LONGEST_WISH)) if wish is not None else delay


class Deliverer:
    """Delivers the outbox.

    Args:
        state: where the outbox is.
        receivers: the receivers as configured now, by name.
        give_up_after: how old a notice may get before it is given up.
        clock: the time.
        post: sends one notice.
    """

    def __init__(
        self,
        state: Engine,
        receivers: Callable[[], Mapping[str, Receiver]],
        give_up_after: Callable[[], timedelta],
        clock: Clock,
        post: Send = send,
    ) -> None:
        self._state = state
        self._receivers = receivers
        self._give_up_after = give_up_after
        self._clock = clock
        self._post = post
        self._wake = Event()
        self._stopping = Event()
        self._lock = Lock()
        self._busy: set[str] = set()
        self._thread: Thread | None = None

    def deliver(self, receiver: str) -> int:
        """Attempt every notice due for a receiver, oldest first, and return how many were acknowledged.

        While a notice of an alert waits for another attempt, later ones of that alert wait behind it. The first attempt
        that fails ends the round: a receiver that is down costs one time-out a round, not one a notice.
        """
        sent = 0
        waiting: set[str] = set()
        for row in self._open_notices(receiver):
            if self._stopping.is_set():
                break
            if row.alert_id in waiting or row.next_attempt_us > micros(self._clock()):
                waiting.add(row.alert_id)
                continue
            if not self._attempt(row):
                break
            sent += 1
        return sent

    def start(self) -> None:
        """Deliver in the background until `stop`."""
        self._stopping.clear()
        self._thread = Thread(target=self._run, name="alert-deliverer")
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now instead of within the next second."""
        self._wake.set()

    def stop(self) -> None:
        """Return when no attempt is under way any more; what is queued stays for the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        # One thread a receiver with work, so that a slow receiver holds up nobody else.
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="alert-delivery") as pool:
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    due = self.due_receivers()
                except Exception:
                    log.exception("the alert outbox cannot be read; trying again")
                    due = []
                for name in due:
                    self._submit(pool, name)
                self._wake.wait(_LOOK_SECONDS)

    def _submit(self, pool: ThreadPoolExecutor, name: str) -> None:
        with self._lock:
            if name in self._busy:
                return
            self._busy.add(name)

        def done(future: Future[int]) -> None:
            with self._lock:
                self._busy.discard(name)
            error = future.exception()
            if error is not None:
                log.error("delivery to %s broke off; trying again", name, exc_info=error)

        pool.submit(self.deliver, name).add_done_callback(done)

    def due_receivers(self) -> list[str]:
        """Return the receivers with a notice that is due, those no longer in the rules too."""
        due = (
            select(outbox.c.receiver)
            .where(outbox.c.sent_at_us.is_(None), outbox.c.given_up_at_us.is_(None))
            .where(outbox.c.next_attempt_us <= micros(self._clock()))
            .distinct()
        )
        with self._state.connect() as connection:
            return list(connection.scalars(due))

    def _open_notices(self, receiver: str) -> list[Row[Any]]:
        mine = (outbox.c.receiver == receiver) & outbox.c.sent_at_us.is_(None) & outbox.c.given_up_at_us.is_(None)
        with self._state.connect() as connection:
            return list(connection.execute(select(outbox).where(mine).order_by(outbox.c.seq).limit(_BATCH)))

    def _attempt(self, row: Row[Any]) -> bool:
        try:
            receiver = self._receivers().get(row.receiver)
            if receiver is None:
                msg = f"receiver {row.receiver!r} is no longer in the rules"
                raise DeliveryError(msg, permanent=True)  # noqa: TRY301 - recorded like every other failure
            self._post(receiver, row.key, json.loads(row.payload), self._clock())
        except DeliveryError as error:
            self._failed(row, error)
            return False
        except Exception as error:
            # Third-party services fail in ways of their own; the notice must not be lost over it.
            log.exception("notice %s to %s failed", row.key[:12], row.receiver)
            self._failed(row, DeliveryError(f"{type(error).__name__}: {error}"))
            return False
        self._mark(row, sent_at_us=micros(self._clock()), error="")
        return True

    def _failed(self, row: Row[Any], error: DeliveryError) -> None:
        now = self._clock()
        created = moment(row.created_at_us) or now
        following = now + retry_delay(row.attempts + 1, error.retry_after)
        if error.permanent or following - created > self._give_up_after():
            log.error("notice %s to %s is given up: %s", row.key[:12], row.receiver, error)
            self._mark(row, given_up_at_us=micros(now), error=str(error))
        else:
            self._mark(row, next_attempt_us=micros(following), error=str(error))

    def _mark(self, row: Row[Any], **values: object) -> None:
        change = update(outbox).where(outbox.c.key == row.key).values(attempts=outbox.c.attempts + 1, **values)
        with self._state.begin() as connection:
            connection.execute(change)
