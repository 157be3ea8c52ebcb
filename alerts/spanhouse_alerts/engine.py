"""The alert engine: reads the rules file, evaluates on a tick, stores, and has notices delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Engine

from spanhouse_alerts.check import DEFAULT_RULES, load
from spanhouse_alerts.evidence import Evidence, StoredEvidence
from spanhouse_alerts.metric_samples import MetricSamples
from spanhouse_alerts.notices import notices, utc
from spanhouse_alerts.notify.deliver import Deliverer, Send, send
from spanhouse_alerts.round import Outcome, evaluate_round
from spanhouse_alerts.rules import Receiver, RuleSet
from spanhouse_alerts.samples import Samples
from spanhouse_alerts.snapshot import alerts_json, notifications_json, rules_json
from spanhouse_alerts.source import Problem, RulesError
from spanhouse_alerts.state import load as load_alerts
from spanhouse_alerts.state import prune, save
from spanhouse_storage.contract import Store

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
"""How long resolved alerts, history and sent notices are kept."""

_PRUNE_EVERY = timedelta(hours=1)
_LONGEST_NAP = 5.0


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class AlertEngine:
    """Evaluates rules and keeps their alerts; one engine a state database.

    Ownership: whoever starts it stops it, before the store and the state are closed. `tick` and `snapshot` may be
    called without `start`, which only adds the threads that evaluate and deliver by themselves.

    Args:
        rules_path: the rules file; None for the rules that come with Spanhouse. It is read again whenever it changes.
        samples: the figures.
        evidence: the runs that stand for an alert.
        state: the state database.
        clock: the time.
        base_url: where the server is reached by people, for links.
        post: sends one notice.

    Raises:
        RulesError: the rules cannot be used at the start. Later a bad file leaves the last good rules in force, and
            `snapshot` says so.
    """

    def __init__(
        self,
        rules_path: Path | None,
        samples: Samples,
        evidence: Evidence,
        state: Engine,
        *,
        clock: Callable[[], datetime] = utc_now,
        base_url: str = "http://127.0.0.1:4318",
        post: Send = send,
    ) -> None:
        self._path = rules_path or DEFAULT_RULES
        self._samples = samples
        self._evidence = evidence
        self._state = state
        self._clock = clock
        self._base_url = base_url
        self._stamp = _stamp(self._path)
        self._rules = load(self._path)
        self._problems: list[Problem] = []
        self._errors: dict[str, str] = {}
        self._evaluated_at: datetime | None = None
        self._counts = {"evaluations": 0, "failures": 0, "missed": 0}
        self._pruned_at: datetime | None = None
        self._lock = Lock()
        self._stopping = Event()
        self._thread: Thread | None = None
        self._deliverer = Deliverer(state, self._receivers, lambda: self._rules.defaults.give_up_after, clock, post)

    @classmethod
    def over(
        cls,
        store: Store,
        state: Engine,
        rules_path: Path | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        base_url: str = "http://127.0.0.1:4318",
    ) -> AlertEngine:
        """Return an engine over a span store's metrics and runs."""
        return cls(rules_path, MetricSamples(store), StoredEvidence(store), state, clock=clock, base_url=base_url)

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rules

    def tick(self, now: datetime) -> Outcome:
        """Evaluate every rule once as of ``now``, store what changed with its notices, and return it."""
        with self._lock:
            self._reload()
            outcome = evaluate_round(self._rules, self._samples, load_alerts(self._state), now)
            queued = [
                notice
                for told in outcome.told
                for notice in notices(self._rules, told, self._evidence, self._base_url, now)
            ]
            if outcome.alerts:
                save(self._state, outcome.alerts.values(), outcome.history, queued)
            self._errors = outcome.errors
            self._evaluated_at = now
            self._counts["evaluations"] += 1
            self._counts["failures"] += bool(outcome.errors)
            if self._pruned_at is None or now - self._pruned_at >= _PRUNE_EVERY:
                prune(self._state, now, KEPT)
                self._pruned_at = now
        if queued:
            self._deliverer.wake()
        return outcome

    def deliver(self) -> int:
        """Attempt every notice that is due now, and return how many were acknowledged."""
        return sum(self._deliverer.deliver(name) for name in self._deliverer.due_receivers())

    def snapshot(self) -> dict[str, Any]:
        """Return what ``GET /api/v1/alerts`` answers.

        ``rules``, ``alerts`` and ``notifications`` as in the contract; ``problems`` with the rules file as it is now
        (line and message, empty while it is good); ``health`` of the evaluation.
        """
        alerts = alerts_json(self._state)
        return {
            "rules": rules_json(self._rules, alerts, self._errors, self._evaluated_at),
            "alerts": alerts,
            "notifications": notifications_json(self._state),
            "problems": [{"line": problem.line, "message": problem.message} for problem in self._problems],
            "health": {
                **self._counts,
                "rules_file": str(self._path),
                "last_evaluated": utc(self._evaluated_at),
                "interval_seconds": self._rules.defaults.interval.total_seconds(),
                "receivers": sorted(self._rules.receivers),
            },
        }

    def start(self) -> None:
        """Evaluate at every whole multiple of the interval and deliver in the background until `stop`."""
        self._stopping.clear()
        self._deliverer.start()
        self._thread = Thread(target=self._run, name="alert-engine")
        self._thread.start()

    def stop(self) -> None:
        """Return when no evaluation and no delivery is under way any more; what is queued stays for the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._deliverer.stop()

    def _run(self) -> None:
        due = _next_tick(self._clock(), self._rules.defaults.interval)
        while not self._stopping.is_set():
            # Anew in every nap, and naps are short: a clock that is set back, or a shorter interval, is noticed.
            due = min(due, _next_tick(self._clock(), self._rules.defaults.interval))
            left = (due - self._clock()).total_seconds()
            if left > 0:
                self._stopping.wait(min(left, _LONGEST_NAP))
                continue
            try:
                self.tick(self._clock())
            except Exception:
                # The state database may be busy or full for a while; the next tick finds all as it was.
                log.exception("alert evaluation failed; trying again at the next tick")
                self._counts["failures"] += 1
            following = _next_tick(self._clock(), self._rules.defaults.interval)
            self._counts["missed"] += max((following - due) // self._rules.defaults.interval - 1, 0)
            due = following

    def _receivers(self) -> Mapping[str, Receiver]:
        return self._rules.receivers

    def _reload(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._rules = load(self._path)
        except RulesError as error:
            self._problems = error.problems
            log.error("the rules in %s cannot be used, the last good ones stay in force: %s", self._path, error)  # noqa: TRY400 - findings, no trace
        else:
            self._problems = []


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The inode tells a file that was replaced within the clock's grain and has the same size.
    return found.st_mtime_ns, found.st_size, found.st_ino


def _next_tick(now: datetime, interval: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + ((now - epoch) // interval + 1) * interval
