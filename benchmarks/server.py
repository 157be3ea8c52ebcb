"""A real server process for a benchmark: started on a free port in a directory of its own, measured from outside."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 60.0


@dataclass(frozen=True)
class Memory:
    """Resident bytes of the server and of its children."""

    server: int
    children: int

    def __str__(self) -> str:
        return f"{self.server / 1e6:.0f} + {self.children / 1e6:.0f} MB"


class Server:
    """``spanhouse up`` as a child process; use as a context manager.

    Args:
        data: its data directory.
        ui: serve the dashboards too.
        flags: further settings by their names, ``store="clickhouse://…"``.
    """

    def __init__(self, data: Path, *, ui: bool = False, **flags: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        given = {"ui": str(ui).lower(), "grpc": "", "log-level": "warning", **flags}
        self._flags = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]
        self.start_seconds = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start the process and wait until it is ready; ``start_seconds`` is how long that took."""
        begin = time.perf_counter()
        address = ["--http", f"127.0.0.1:{self.port}", "--data", str(self.data)]
        with self.data.with_name(f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "spanhouse_server", "up", *address, *self._flags],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not self._is_ready():
            if self.process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                self.process.kill()
                msg = f"the server did not start (exit code {self.process.poll()}); it said: {log.name}"
                raise RuntimeError(msg)
            time.sleep(0.02)
        self.start_seconds = time.perf_counter() - begin

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """End the process as Ctrl-C would and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def _is_ready(self) -> bool:
        try:
            self.get("/readyz")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded JSON of a GET that must succeed."""
        with urllib.request.urlopen(self.url + path, timeout=120) as response:
            return json.loads(response.read())

    def lag(self) -> dict[str, Any]:
        """Return what ``/readyz`` says, ready or not."""
        try:
            answer: dict[str, Any] = self.get("/readyz")
        except urllib.error.HTTPError as error:
            answer = json.loads(error.read())
        return answer

    def drain(self, timeout: float = 600) -> float:
        """Wait until all that was acknowledged is stored and computed; return the seconds it took.

        Raises:
            TimeoutError: something still waits.
        """
        begin = time.perf_counter()
        while time.perf_counter() - begin < timeout:
            lag = self.lag()
            if not lag["pending_items"] and not lag["pending_traces"]:
                return time.perf_counter() - begin
            time.sleep(0.1)
        msg = f"still not drained after {timeout} s: {lag}"
        raise TimeoutError(msg)

    def stored_spans(self) -> int:
        """Return how many rows of ``spans`` this process has inserted."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as response:
            text = response.read().decode()
        found = re.search(r'^spanhouse_collector_stored\w*{table="spans"} (\S+)', text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def memory(self) -> Memory:
        """Return what is resident now."""
        return Memory(_rss(self.process.pid), sum(map(_rss, children(self.process.pid))))


class MemoryPeak:
    """The most a server held at any time of a block, looked at four times a second.

    Attributes:
        peak: of the server and of its children, each at its own worst moment.
    """

    def __init__(self, server: Server) -> None:
        self.peak = server.memory()
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            now = self._server.memory()
            self.peak = Memory(max(self.peak.server, now.server), max(self.peak.children, now.children))


def machine() -> str:
    """Return what a figure must be read with: the interpreter, the cores, and how busy they were beforehand."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} before the start"
    )


def free_port() -> int:
    """Return a port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children; none where it has ended."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended meanwhile
    return found


def _rss(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
