"""The ClickHouse endpoint as a process of its own, to be killed and started again like a server that goes away."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.clickhouse_http import ClickHouseHttp

ROOT = Path(__file__).parents[2]


class ClickHouseProcess:
    """A store behind `url` that comes and goes; started by entering it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._port = 0
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()

    def start(self) -> None:
        """Serve the directory; a second time on the port of the first."""
        command = [sys.executable, "-m", "tests.support.clickhouse_process", str(self._path), str(self._port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url, "the endpoint did not start"
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def main(path: Path, port: int) -> None:
    """Serve until killed."""
    with ClickHouseHttp(path, port=port) as endpoint:
        sys.stdout.write(endpoint.url() + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
