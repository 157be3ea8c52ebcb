from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

from spanhouse_alerts.engine import KEPT, AlertEngine
from spanhouse_alerts.rules import BudgetRule, RatioRule
from spanhouse_alerts.snapshot import history_json
from spanhouse_alerts.source import RulesError
from spanhouse_storage.state import open_state

if TYPE_CHECKING:
    from tests.alerts.conftest import Clock, Far, Figures

RULES = """\
version: 1
defaults: {{interval: 1s, keep_firing_for: 0s}}
receivers:
  hook: {{webhook: {{url: "{url}"}}}}
  chat: {{apprise: "json://127.0.0.1:{port}/chat", send_resolved: false}}
rules:
  - {{id: tool-errors, kind: ratio, metric: tool_error_rate, by: [tenant, tool], window: {{rolling: 30m}},
     min_samples: 20, compare: {{above: 0.15}}, severity: page, annotations: {{runbook: "https://rb.example/tools"}}}}
  - {{id: day, kind: budget, metric: spend, amount: {amount}, per: [tenant], window: {{cumulative: day}}}}
"""


class Shown:
    """Evidence by hand."""

    def __init__(self, *runs: str) -> None:
        self.found = list(runs)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def runs(
        self, rule: RatioRule | BudgetRule, labels: Mapping[str, str], since: datetime, until: datetime
    ) -> list[str]:
        """Return what was set."""
        assert since <= until
        self.asked.append((rule.id, dict(labels)))
        return self.found


@pytest.fixture
def rules_file(tmp_path: Path, far: Far) -> Path:
    """A rules file whose receivers are the far end."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=far.url, port=far.port, amount=10))
    return path


@pytest.fixture
def engine(rules_file: Path, figures: Figures, state: Engine, clock: Clock) -> AlertEngine:
    """An engine over figures by hand that is not started."""
    return AlertEngine(rules_file, figures, Shown("r1", "r2"), state, clock=clock, base_url="http://spans.example/")


def test_a_crossed_line_is_told_once_to_every_receiver(
    engine: AlertEngine, figures: Figures, clock: Clock, far: Far
) -> None:
    """Webhook and apprise hear of it once each, however many rounds follow; the end goes to who asked for ends."""
    figures.ratio("tool_error_rate", 30, 50, tenant="acme", tool="search")
    for _ in range(5):
        engine.tick(clock.forward(seconds=5))
        engine.deliver()
    assert sorted(got.path for got in far.received) == ["/chat", "/hook"]
    figures.ratio("tool_error_rate", 0, 50, tenant="acme", tool="search")
    for _ in range(3):
        engine.tick(clock.forward(seconds=5))
        engine.deliver()
    assert sorted(got.path for got in far.received[2:]) == ["/hook"]


def test_a_notice_carries_its_evidence(engine: AlertEngine, figures: Figures, clock: Clock, far: Far) -> None:
    """Rule in plain English, value, line, window, labels, runs with links, and the key that tells a repeat."""
    figures.ratio("tool_error_rate", 30, 50, tenant="acme", tool="search")
    engine.tick(clock())
    engine.deliver()
    (got,) = [got for got in far.received if got.path == "/hook"]
    body = json.loads(got.body)
    assert body["key"] == got.headers["Idempotency-Key"]
    assert (body["transition"], body["severity"], body["value"], body["threshold"]) == ("firing", "page", 0.6, 0.15)
    assert (body["numerator"], body["denominator"]) == (30, 50)
    assert 0.46 < body["low"] < body["value"] < body["high"] < 0.73
    assert body["labels"] == {"rule": "tool-errors", "severity": "page", "tenant": "acme", "tool": "search"}
    assert body["window"] == {"since": "2026-11-20T11:30:00Z", "until": "2026-11-20T12:00:00Z"}
    assert body["rule_text"].startswith("page when tool_error_rate by tenant and tool over the last 30m is above 15 %")
    assert body["annotations"]["runbook"] == "https://rb.example/tools"
    assert body["runs"] == [{"run_id": r, "link": f"http://spans.example/ui/run?run_id={r}"} for r in ("r1", "r2")]
    assert body["link"] == "http://spans.example/ui/alerts"


def test_the_snapshot_shows_rules_alerts_and_notifications(engine: AlertEngine, figures: Figures, clock: Clock) -> None:
    """What the API answers has the contract's keys and says what became of each notice."""
    figures.total("spend", 8.4, tenant="acme")
    engine.tick(clock())
    engine.deliver()
    shown = engine.snapshot()
    assert json.loads(json.dumps(shown)) == shown
    assert {rule["id"]: (rule["state"], rule["firing"]) for rule in shown["rules"]} == {
        "tool-errors": ("ok", 0),
        "day": ("firing", 1),
    }
    (alert,) = shown["alerts"]
    assert {key: alert[key] for key in ("rule", "kind", "severity", "state", "value", "threshold", "since")} == {
        "rule": "day",
        "kind": "budget",
        "severity": "warn",
        "state": "firing",
        "value": 8.4,
        "threshold": 8.0,
        "since": "2026-11-20T12:00:00Z",
    }
    assert alert["summary"] == (
        "spend of tenant=acme since 2026-11-20T00:00:00+00:00 is $8.40, 84 % of $10.00 (warn at $8.00)"
    )
    assert {(n["receiver"], n["attempts"], n["sent_at"], n["error"]) for n in shown["notifications"]} == {
        ("hook", 1, "2026-11-20T12:00:00Z", None),
        ("chat", 1, "2026-11-20T12:00:00Z", None),
    }
    assert (shown["problems"], shown["health"]["evaluations"], shown["health"]["failures"]) == ([], 1, 0)
    (entry,) = history_json(engine._state, alert["id"])
    assert (entry["change"], entry["value"], entry["since"]) == ("firing", 8.4, "2026-11-20T00:00:00Z")


def test_an_ended_alert_is_shown_as_resolved_and_dropped_in_time(
    engine: AlertEngine, figures: Figures, clock: Clock
) -> None:
    """Resolved alerts and sent notices are kept for 30 days."""
    figures.ratio("tool_error_rate", 30, 50, tenant="acme", tool="search")
    engine.tick(clock())
    figures.ratio("tool_error_rate", 0, 50, tenant="acme", tool="search")
    ended = clock.forward(seconds=5)
    engine.tick(ended)
    engine.deliver()
    (alert,) = engine.snapshot()["alerts"]
    assert (alert["state"], alert["since"]) == ("resolved", "2026-11-20T12:00:05Z")
    clock.now = ended + KEPT + timedelta(seconds=1)
    engine.tick(clock())
    assert (engine.snapshot()["alerts"], engine.snapshot()["notifications"]) == ([], [])


def test_failing_evidence_does_not_hold_a_notice_back(
    rules_file: Path, figures: Figures, state: Engine, clock: Clock, far: Far
) -> None:
    """A notice without example runs goes out all the same."""

    class Broken:
        def runs(self, *_args: object) -> list[str]:
            msg = "store is away"
            raise ConnectionError(msg)

    figures.total("spend", 8.4, tenant="acme")
    engine = AlertEngine(rules_file, figures, Broken(), state, clock=clock)
    engine.tick(clock())
    assert engine.deliver() == 2
    assert json.loads(far.received[-1].body)


def test_a_changed_file_is_read_and_a_bad_one_is_shown(
    engine: AlertEngine, rules_file: Path, figures: Figures, clock: Clock, far: Far
) -> None:
    """A good change counts at the next tick; a bad one leaves the last good rules in force until it is mended."""
    good = rules_file.read_text()
    rules_file.write_text(good.replace("amount: 10", "amount: -1"))
    figures.total("spend", 8.4, tenant="acme")
    engine.tick(clock())
    (problem,) = engine.snapshot()["problems"]
    assert problem["line"] == 9
    assert "greater than 0" in problem["message"]
    assert len(engine.snapshot()["alerts"]) == 1
    rules_file.unlink()
    engine.tick(clock.forward(seconds=5))
    assert "cannot read" in engine.snapshot()["problems"][0]["message"]
    rules_file.write_text(good.replace("amount: 10", "amount: 100"))
    engine.tick(clock.forward(seconds=5))
    assert engine.snapshot()["problems"] == []
    assert [alert["state"] for alert in engine.snapshot()["alerts"]] == ["resolved"]


def test_a_bad_file_is_logged_once_and_not_at_every_tick(
    engine: AlertEngine, rules_file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log gets a line when the file changes, not every five seconds."""
    rules_file.write_text("version: 1\n")
    for _ in range(3):
        engine.tick(clock.forward(seconds=5))
    assert len([record for record in caplog.records if "last good ones stay in force" in record.message]) == 1


def test_a_repeat_is_a_notice_of_its_own(
    engine: AlertEngine, rules_file: Path, figures: Figures, clock: Clock, far: Far
) -> None:
    """With `repeat` a firing alert is told again under a new key but as the same incident."""
    rules_file.write_text(rules_file.read_text().replace("rules:", "routes: [{to: [hook], repeat: 1h}]\nrules:"))
    figures.total("spend", 8.4, tenant="acme")
    for minutes in (0, 30, 30, 1):
        engine.tick(clock.forward(minutes=minutes))
        engine.deliver()
    first, second = [json.loads(got.body) for got in far.received]
    assert (first["repeat"], second["repeat"]) == (False, True)
    assert first["key"] != second["key"]
    assert (first["incident"], first["transition"]) == (second["incident"], second["transition"])


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path, figures: Figures, state: Engine, clock: Clock) -> None:
    """Who starts with rules that cannot be used is told at once."""
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(RulesError, match="'rules' is missing"):
        AlertEngine(path, figures, Shown(), state, clock=clock)


def test_a_restart_keeps_firing_alerts_quiet(
    engine: AlertEngine, rules_file: Path, figures: Figures, state: Engine, clock: Clock, far: Far
) -> None:
    """A second engine on the same state knows what was told, and tells the end."""
    figures.ratio("tool_error_rate", 30, 50, tenant="acme", tool="search")
    engine.tick(clock())
    engine.deliver()
    again = AlertEngine(rules_file, figures, Shown(), state, clock=clock)
    again.tick(clock.forward(minutes=5))
    assert again.deliver() == 0
    figures.ratio("tool_error_rate", 0, 50, tenant="acme", tool="search")
    again.tick(clock.forward(seconds=5))
    again.deliver()
    assert [json.loads(got.body)["transition"] for got in far.received if got.path == "/hook"] == ["firing", "resolved"]


def test_the_default_rules_hold_without_a_file(figures: Figures, state: Engine, clock: Clock) -> None:
    """Without a file the packaged rules are evaluated; they have no receivers, so nothing is sent."""
    engine = AlertEngine(None, figures, Shown(), state, clock=clock)
    figures.total("spend", 60, tenant="acme")
    outcome = engine.tick(clock())
    assert sorted(told.alert.severity for told in outcome.told) == ["page", "warn"]
    assert engine.snapshot()["notifications"] == []


def test_started_it_ticks_and_delivers_by_itself_and_stops(
    rules_file: Path, figures: Figures, state: Engine, far: Far
) -> None:
    """With the real clock a crossed line arrives without anybody calling, and stop leaves no thread behind."""
    arrived = threading.Event()
    answer = far.answer

    def notice(handler: Any) -> None:
        answer(handler)
        arrived.set()

    far.answer = notice
    before = set(threading.enumerate())
    engine = AlertEngine(rules_file, figures, Shown(), state)
    figures.ratio("tool_error_rate", 30, 50, tenant="acme", tool="search")
    engine.start()
    try:
        assert arrived.wait(20)
    finally:
        engine.stop()
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("alert")]
    assert left == []


CHILD = textwrap.dedent("""
    import os, signal, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from spanhouse_alerts import engine as module
    from spanhouse_alerts.samples import Sample
    from spanhouse_storage.state import open_state

    database, rules, point = sys.argv[1:]

    class Figures:
        def read(self, request):
            return [Sample({"tenant": "acme"}, 8.4)] if request.metric == "spend" else []

    class Nothing:
        def runs(self, *args):
            if point == "computing":
                os.kill(os.getpid(), signal.SIGKILL)
            return []

    real = module.save
    def save(*args):
        real(*args)
        if point == "saved":
            os.kill(os.getpid(), signal.SIGKILL)
    module.save = save
    clock = lambda: datetime(2026, 11, 20, 12, tzinfo=UTC)
    module.AlertEngine(Path(rules), Figures(), Nothing(), open_state(database), clock=clock).tick(clock())
""")


@pytest.mark.parametrize("point", ["computing", "saved"])
def test_kill_9_in_a_tick_loses_no_alert(
    state_url: str, rules_file: Path, figures: Figures, clock: Clock, far: Far, point: str
) -> None:
    """Killed before the transaction, the next tick finds the same; killed after it, the notice is queued: told once."""
    command = [sys.executable, "-c", CHILD, state_url, str(rules_file), point]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    state = open_state(state_url)
    figures.total("spend", 8.4, tenant="acme")
    engine = AlertEngine(rules_file, figures, Shown(), state, clock=clock)
    for _ in range(3):
        engine.tick(clock.forward(seconds=5))
        engine.deliver()
    state.dispose()
    assert [json.loads(got.body)["severity"] for got in far.received if got.path == "/hook"] == ["warn"]
