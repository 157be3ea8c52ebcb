"""``spanhouse demo`` as a person starts it: everything it promises happens, and it ends when told to."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.process import free_port, spanhouse

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 90
END_SECONDS = 30


class Showing:
    """A demo's process and what it has printed."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{free_port()}"
        address = self.url.removeprefix("http://")
        command = [*spanhouse("demo"), "--data", str(data), "--http", address, "--grpc", "", "--ui", "false", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._ended = False
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._heard:
                self.lines.append(line.rstrip())
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def wait_for(self, words: str) -> None:
        """Return once a line with these words was printed."""
        with self._heard:
            self._heard.wait_for(lambda: self._ended or self._said(words), PATIENCE_SECONDS)
            assert self._said(words), "\n".join(self.lines)

    def _said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(END_SECONDS)
        self._reader.join()
        return code

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded JSON of a GET that must succeed."""
        answer = httpx.get(self.url + path, params=query, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def close(self) -> None:
        """End what a failed test left running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_SECONDS)
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def showing(data: Path, *flags: str) -> Iterator[Showing]:
    """Run a demo until the block ends."""
    demo = Showing(data, *flags)
    try:
        yield demo
    finally:
        demo.close()


def test_the_demo_shows_what_it_promises_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    """Every way to end is there, the alert came once a transition, and Ctrl-C is exit code 0 without a traceback."""
    with showing(tmp_path / "data", "--history-days", "1") as demo:
        demo.wait_for("The demo is complete")
        live = demo.get("/api/v1/runs", environment="demo", limit=100)["runs"]
        stops = {run["request_id"].removeprefix("req-demo-"): run["stop_reason"] for run in live}
        wanted = {
            "refund": "finish",
            "max-usd": "max_usd",
            "denied": "policy_deny:delete_records",
            "loop": "loop_detected:fetch_page",
            "tool-timeout": "tool_timeout:reconcile_ledger",
            "operator-stop": "operator_kill",
            "repeat-charge": "finish",
            "model-error": "model_error:rate_limit",
            "escalated": "escalated",
        }
        assert {name: stops.get(name) for name in wanted} == wanted
        assert all(run["complete"] for run in live)
        assert [s["replayed"] for s in demo.get("/api/v1/runs/req-demo-repeat-charge/steps")["steps"]].count(True) == 1
        assert demo.get("/api/v1/runs", environment="prod", limit=1)["runs"]
        (stop,) = demo.get("/api/v1/audit", name="kill", tenant="default")["events"]
        assert stop["data"]["by"] == "demo operator"
        notices = demo.get("/api/v1/alerts")["notifications"]
        told = [line.partition("webhook: ")[2] for line in demo.lines if "alert received" in line]
        assert Counter(told) == Counter(n["summary"] for n in notices if n["sent_at"])
        assert len({(n["alert_id"], n["transition"], n["severity"]) for n in notices}) == len(notices)
        spend = [n for n in notices if n["rule"] == "demo-day-budget"]
        assert {n["severity"] for n in spend} == {"warn", "page"}
        assert all((n["transition"], n["attempts"]) == ("firing", 1) for n in spend)
        assert demo.end(signal.SIGINT) == 0
        printed = "\n".join(demo.lines)
        assert "Traceback" not in printed
        assert "ERROR" not in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_demo_that_is_ended_amid_its_agents_ends_quietly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0 and no traceback, though agents were running, and not a word more from them."""
    with showing(tmp_path / "data", "--history-days", "0") as demo:
        demo.wait_for("order-status")
        assert demo.end(number) == 0
        printed = "\n".join(demo.lines)
        assert [
            word for word in ("Traceback", "WARNING", "ERROR", "complete", "stopped early") if word in printed
        ] == []
