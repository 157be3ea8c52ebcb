"""What happens beside the server during the demo: history in, agents play, an operator stops one, an alert arrives."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from spanhouse import telemetry
from spanhouse.client import Client
from spanhouse.errors import SpanhouseError
from spanhouse_runtime.demo import Scenario, play
from spanhouse_runtime.result import RunResult
from spanhouse_server import token
from spanhouse_server.cli.base import clean
from spanhouse_server.demo import rules
from spanhouse_server.demo.receiver import Receiver
from spanhouse_server.history.week import RUNS_A_DAY, week
from spanhouse_server.importing.send import wait_until_stored
from spanhouse_server.settings import Settings

RULES_FILE = "demo-rules.yaml"
SETTLE_SECONDS = 30.0
LAST_WORDS_SECONDS = 1.0


class _OverError(Exception):
    """Raised in the midst of the showing once it is to end."""


class Demo:
    """One showing: prepared before the server starts, played on a thread once it answers."""

    def __init__(self, settings: Settings, *, rounds: int, history_days: int) -> None:
        self._rounds = rounds
        self._history_days = history_days
        self._over = threading.Event()
        self._receiver = Receiver(self._alerted)
        if not settings.rules:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = settings.data_dir / RULES_FILE
            rules.write(file, self._receiver.url)
            settings = replace(settings, rules=str(file))
        self.settings = settings
        """The settings the server must run with."""

    def __enter__(self) -> Self:
        self._receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.stop()

    def start(self) -> None:
        """Begin the showing and return at once."""
        # A daemon: it only speaks HTTP, and a person who presses Ctrl-C does not wait for the last agent.
        threading.Thread(target=self._play, name="demo", daemon=True).start()

    def stop(self) -> None:
        """End the showing: send what the agents have said so far, and let them say no more."""
        self._over.set()
        telemetry.shutdown(LAST_WORDS_SECONDS)
        # An agent in the midst of a run does not know yet, and would warn that nobody records it.
        logging.getLogger("spanhouse").setLevel(logging.ERROR)

    def _play(self) -> None:
        # For the case that the demo's server asks for keys: everything below reads this, as a person's programs do.
        os.environ.setdefault("SPANHOUSE_TOKEN", token.read(self.settings.data_dir) or "")
        try:
            with Client(self.settings.url) as client:
                self._load_history(client)
                self._play_agents()
                # What is named below must be there to be looked at.
                wait_until_stored(client, timeout=SETTLE_SECONDS)
        except _OverError:
            return
        except SpanhouseError as error:
            if not self._over.is_set():
                click.echo(f"the demo stopped early: {error}", err=True)
            return
        click.echo(f"\nThe demo is complete; the server goes on. Look at {self.settings.url}/ui, or try:")
        for command in (
            "spanhouse triage req-demo-max-usd",
            "spanhouse metrics --by agent",
            "spanhouse runs --limit 5",
        ):
            click.echo(f"  {command}{self._url_flag()}")
        click.echo("Ctrl-C ends it.")

    def _load_history(self, client: Client) -> None:
        columns = (
            TextColumn("sample history"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("runs"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("history", total=self._history_days * RUNS_A_DAY)
            for bodies in week(datetime.now(UTC), self._history_days):
                self._go_on()
                client.post_otlp("traces", bodies.traces)
                client.post_otlp("logs", bodies.logs)
                progress.advance(task, bodies.runs)
            # Runs of today that lie ahead are not made up.
            progress.update(task, total=progress.tasks[0].completed)

    def _play_agents(self) -> None:
        self._go_on()
        click.echo("live agents:")
        play(self.settings.url, rounds=self._rounds, on_progress=self._ended, stop_run=self._stopper())

    def _stopper(self) -> Callable[[str], None]:
        secret = token.read(self.settings.data_dir)

        def stop(run_id: str) -> None:
            with Client(self.settings.url, token=secret) as operator:
                operator.set_control(
                    "stop",
                    "run",
                    run_id,
                    reason="demo: an operator pulls the plug",
                    by="demo operator",
                    ttl_seconds=600,
                )

        return stop

    def _alerted(self, message: dict[str, Any]) -> None:
        click.echo(f"  alert received by the webhook: {clean(message.get('summary') or message)}")

    def _url_flag(self) -> str:
        return "" if self.settings.url == Settings().url else f" --url {self.settings.url}"

    def _ended(self, scenario: Scenario, result: RunResult) -> None:
        self._go_on()
        click.echo(f"  {scenario.name:<18} {result.stop_reason!s:<34} run {result.run_id}")

    def _go_on(self) -> None:
        if self._over.is_set():
            raise _OverError
