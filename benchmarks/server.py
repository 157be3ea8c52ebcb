"""A real server process for a benchmark: started on a free port in a directory of its own, measured from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Server:
    """``spanhouse up`` as a child process; use as a context manager."""

    def __init__(self, data: Path, *, ui: bool = False) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._data = data
        self._ui = ui
        self.start_seconds = 0.0

    def __enter__(self) -> Self:
        begin = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "spanhouse_server",
            "up",
            "--http",
            f"127.0.0.1:{self.port}",
            "--data",
            str(self._data),
            "--ui",
            str(self._ui).lower(),
            "--log-level",
            "warning",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.get("/readyz")
                break
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None or time.perf_counter() - begin > 60:
                    msg = f"the server did not start (exit code {self.process.poll()})"
                    raise RuntimeError(msg) from None
                time.sleep(0.02)
        self.start_seconds = time.perf_counter() - begin
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded JSON of a GET."""
        with urllib.request.urlopen(self.url + path, timeout=120) as response:
            return json.loads(response.read())

    def drain(self, timeout: float = 600) -> float:
        """Wait until all that was acknowledged is stored and computed; return the seconds it took."""
        begin = time.perf_counter()
        while time.perf_counter() - begin < timeout:
            ready = self.get("/readyz")
            if not ready["pending_items"] and not ready["pending_traces"]:
                return time.perf_counter() - begin
            time.sleep(0.1)
        msg = f"still not drained after {timeout} s: {ready}"
        raise RuntimeError(msg)

    def memory(self) -> dict[str, int]:
        """Return resident bytes of the server and of its children."""
        own = _rss(self.process.pid)
        children = sum(_rss(int(pid)) for pid in _children(self.process.pid))
        return {"server": own, "children": children}


def _rss(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
