"""The real server as a process of its own, to be killed, restarted and asked over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

START_SECONDS = 60.0
DRAIN_SECONDS = 90.0


def free_port() -> int:
    """Return a port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """``spanhouse up`` on a free port in a directory of its own; started by entering it."""

    def __init__(
        self, data: Path, *, port: int | None = None, ui: bool = False, command: str = "up", **settings: str
    ) -> None:
        self._command = command
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.parent / f"{data.name}-server.log"
        self._ui = ui
        self._settings = settings

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        flags = [text for name, value in self._settings.items() for text in (f"--{name.replace('_', '-')}", value)]
        command = [
            *spanhouse(self._command),
            "--http",
            f"127.0.0.1:{self.port}",
            "--data",
            str(self.data),
            "--ui",
            str(self._ui),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *flags], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        self.kill()
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """End the process as Ctrl-C would and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded JSON of a GET that must succeed."""
        response = httpx.get(self.url + path, params=query, timeout=60)
        assert response.is_success, response.text
        return response.json()

    def drain(self) -> None:
        """Wait until all that was acknowledged is stored and computed."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            ready = self.get("/readyz")
            if not ready["pending_items"] and not ready["pending_traces"]:
                return
            time.sleep(0.1)
        raise AssertionError(ready)

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Return what a command printed, which must end with ``code``."""
        ended = run_cli(*arguments, "--url", self.url)
        assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
        return ended.stdout if code == 0 else ended.stdout + ended.stderr


def spanhouse(*arguments: str) -> list[str]:
    """Return the command line of a ``spanhouse`` command in this environment."""
    return [sys.executable, "-m", "spanhouse_server", *arguments]


def run_cli(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a ``spanhouse`` command to its end."""
    return subprocess.run(
        spanhouse(*arguments), capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environ}
    )


def pages(server: ServerProcess, path: str, key: str) -> list[dict[str, Any]]:
    """Return every row of a list, page by page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.get(path, limit=500, **cursor)
        rows += page[key]
        if not page["next_cursor"]:
            return rows
        cursor = {"cursor": page["next_cursor"]}
