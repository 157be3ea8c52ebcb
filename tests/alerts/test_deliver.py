from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, Row, select

from spanhouse_alerts.machine import Phase, State
from spanhouse_alerts.notify.deliver import Deliverer, retry_delay
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import Receiver, WebhookReceiver
from spanhouse_alerts.state import Alert, Notice, moment, outbox, save
from spanhouse_storage.state import open_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.alerts.conftest import Clock, Far

ALERT = Alert("a1", "rule", "ratio", "page", {"rule": "rule"}, State(Phase.FIRING))
DAY = timedelta(days=1)


def queue(state: Engine, at: datetime, *keys: str, receiver: str = "hook", alert: Alert = ALERT) -> None:
    """Put one notice a key into the outbox."""
    save(state, [], [], [Notice(key, alert, receiver, "firing", {"key": key}, at) for key in keys])


def rows(state: Engine) -> list[Row[Any]]:
    """Return the outbox in order."""
    with state.connect() as connection:
        return list(connection.execute(select(outbox).order_by(outbox.c.seq)))


class Post:
    """A far end that fails as often as it is told to, and remembers what it took."""

    def __init__(self, *failures: DeliveryError) -> None:
        self.failures = list(failures)
        self.took: list[str] = []
        self.attempts = 0

    def __call__(self, _receiver: Receiver, key: str, _payload: object, _now: datetime) -> None:
        """Take or refuse one notice."""
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.took.append(key)


def deliverer(state: Engine, clock: Clock, post: Callable[..., None], *names: str) -> Deliverer:
    """Return a deliverer that knows these receivers, by default one named hook."""
    known = {name: Receiver(apprise="json://127.0.0.1") for name in names or ("hook",)}
    return Deliverer(state, lambda: known, lambda: DAY, clock, post)


def test_a_notice_is_sent_once(state: Engine, clock: Clock) -> None:
    """However often the outbox is looked at, what was acknowledged is not sent again."""
    queue(state, clock(), "k1", "k2")
    post = Post()
    worker = deliverer(state, clock, post)
    assert [worker.deliver("hook"), worker.deliver("hook")] == [2, 0]
    assert post.took == ["k1", "k2"]
    assert [(row.attempts, moment(row.sent_at_us)) for row in rows(state)] == [(1, clock())] * 2


def test_a_notice_is_queued_once(state: Engine, clock: Clock) -> None:
    """Deriving the same notice again leaves the outbox as it is, sent or not."""
    queue(state, clock(), "k1")
    post = Post()
    deliverer(state, clock, post).deliver("hook")
    queue(state, clock(), "k1")
    assert deliverer(state, clock, post).deliver("hook") == 0
    assert len(rows(state)) == 1


def test_failures_back_off_and_keep_their_reason(state: Engine, clock: Clock) -> None:
    """The wait doubles from a second; the reason is kept until it is sent."""
    queue(state, clock(), "k1")
    post = Post(DeliveryError("away"), DeliveryError("still away"))
    worker = deliverer(state, clock, post)
    worker.deliver("hook")
    assert (rows(state)[0].error, moment(rows(state)[0].next_attempt_us)) == ("away", clock() + timedelta(seconds=1))
    worker.deliver("hook")
    assert post.attempts == 1
    clock.forward(seconds=1)
    worker.deliver("hook")
    assert moment(rows(state)[0].next_attempt_us) == clock() + timedelta(seconds=2)
    clock.forward(seconds=2)
    assert worker.deliver("hook") == 1
    assert (rows(state)[0].error, rows(state)[0].attempts) == ("", 3)


@pytest.mark.parametrize(
    ("attempts", "wish", "expected"),
    [(1, None, 1), (2, None, 2), (5, None, 16), (50, None, 300), (1, 120, 120), (9, 1, 256), (1, 86_400, 3_600)],
)
def test_waits_are_bounded(attempts: int, wish: int | None, expected: int) -> None:
    """Up to five minutes by ourselves, up to an hour where the receiver asks."""
    asked = None if wish is None else timedelta(seconds=wish)
    assert retry_delay(attempts, asked) == timedelta(seconds=expected)


def test_old_and_refused_notices_are_given_up(state: Engine, clock: Clock) -> None:
    """A notice older than the limit, or one that was refused for good, is not tried for ever, and says why."""
    queue(state, clock(), "old")
    clock.forward(hours=24)
    post = Post(DeliveryError("away"), DeliveryError("answered 400", permanent=True))
    worker = deliverer(state, clock, post)
    worker.deliver("hook")
    queue(state, clock(), "refused")
    worker.deliver("hook")
    assert [(row.error, row.sent_at_us, moment(row.given_up_at_us)) for row in rows(state)] == [
        ("away", None, clock()),
        ("answered 400", None, clock()),
    ]
    clock.forward(hours=1)
    assert worker.deliver("hook") == 0


def test_notices_of_one_alert_keep_their_order(state: Engine, clock: Clock) -> None:
    """The end of an alert is not told before its begin; other alerts do not wait."""
    other = Alert("a2", "rule", "ratio", "page", {"rule": "rule", "x": "y"}, State(Phase.FIRING))
    queue(state, clock(), "begin", "end")
    queue(state, clock(), "other", alert=other)
    post = Post(DeliveryError("hiccup"))
    worker = deliverer(state, clock, post)
    worker.deliver("hook")
    worker.deliver("hook")
    assert post.took == ["other"]
    clock.forward(seconds=1)
    worker.deliver("hook")
    assert post.took == ["other", "begin", "end"]


def test_a_receiver_that_left_the_rules_gets_nothing(state: Engine, clock: Clock) -> None:
    """Its notices are given up, saying so."""
    queue(state, clock(), "k1", receiver="gone")
    assert deliverer(state, clock, Post()).deliver("gone") == 0
    assert "no longer in the rules" in rows(state)[0].error


def test_an_unforeseen_failure_loses_nothing(state: Engine, clock: Clock) -> None:
    """A bug in a service's plugin is a failed attempt like any other."""

    def post(*_args: object) -> None:
        msg = "plugin bug"
        raise ZeroDivisionError(msg)

    queue(state, clock(), "k1")
    deliverer(state, clock, post).deliver("hook")
    assert (rows(state)[0].error, rows(state)[0].given_up_at_us) == ("ZeroDivisionError: plugin bug", None)


def test_a_slow_receiver_holds_up_nobody_else(state: Engine, clock: Clock) -> None:
    """While one receiver hangs, the other is told."""
    begun, hanging, told = threading.Event(), threading.Event(), threading.Event()

    def post(_receiver: Receiver, key: str, *_rest: object) -> None:
        if key == "slow":
            begun.set()
            hanging.wait(10)
        else:
            told.set()

    queue(state, clock(), "slow", receiver="slow")
    queue(state, clock(), "quick", receiver="quick")
    worker = deliverer(state, clock, post, "slow", "quick")
    worker.start()
    try:
        assert begun.wait(10)
        assert told.wait(10)
        assert rows(state)[0].sent_at_us is None
    finally:
        hanging.set()
        worker.stop()
    assert all(row.sent_at_us is not None for row in rows(state))


CHILD = textwrap.dedent("""
    import os, signal, sys
    from datetime import UTC, datetime, timedelta
    from spanhouse_alerts.notify import deliver
    from spanhouse_alerts.rules import Receiver, WebhookReceiver
    from spanhouse_storage.state import open_state

    database, url, point = sys.argv[1:]

    def post(*args):
        if point == "before-send":
            os.kill(os.getpid(), signal.SIGKILL)
        deliver.send(*args)
        if point == "after-send":
            os.kill(os.getpid(), signal.SIGKILL)

    receivers = {"hook": Receiver(webhook=WebhookReceiver(url=url))}
    clock = lambda: datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
    worker = deliver.Deliverer(open_state(database), lambda: receivers, lambda: timedelta(days=1), clock, post)
    worker.deliver("hook")
    if point == "after-mark":
        os.kill(os.getpid(), signal.SIGKILL)
""")


@pytest.mark.parametrize(
    ("point", "expected"), [("before-send", ["k1"]), ("after-send", ["k1", "k1"]), ("after-mark", ["k1"])]
)
def test_kill_9_loses_no_notice_and_repeats_at_most_one(
    state_url: str, clock: Clock, far: Far, point: str, expected: list[str]
) -> None:
    """Killed before it is sent: sent at the restart. Before it is marked: once more, same key. After: never again."""
    state = open_state(state_url)
    queue(state, clock(), "k1")
    child = subprocess.run([sys.executable, "-c", CHILD, state_url, far.url, point], check=False, env=os.environ)
    assert child.returncode == -signal.SIGKILL
    receivers = {"hook": Receiver(webhook=WebhookReceiver(url=far.url))}
    Deliverer(state, lambda: receivers, lambda: DAY, clock).deliver("hook")
    state.dispose()
    assert [got.headers["Idempotency-Key"] for got in far.received] == expected
    assert all(json.loads(got.body) == {"key": "k1"} for got in far.received)
