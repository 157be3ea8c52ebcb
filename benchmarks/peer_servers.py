"""Spanhouse and its peers behind one face: started, loaded, killed and counted alike, each with its own defaults."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.server import Server, free_port

from spanhouse_storage import open_store

START_SECONDS = 90.0


class Peer(ABC):
    """A server that takes OTLP over HTTP, in a data directory of its own.

    Attributes:
        name: with its version.
        headers: that its OTLP requests need.
        port: on loopback.
    """

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    port: int

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    @abstractmethod
    def kill(self) -> None:
        """End it as a crash would."""

    @abstractmethod
    def loaded(self, acknowledged: int, timeout: float) -> int:
        """Wait until so many spans are stored or the time is over; return how many are, and go on serving."""

    @abstractmethod
    def settle(self, acknowledged: int, timeout: float) -> tuple[int, float]:
        """Wait until so many spans are stored or the time is over; return how many are, and the seconds it took."""


class Spanhouse(Peer):
    """This tree, as ``spanhouse up`` starts it, without the dashboards."""

    name = "Spanhouse"

    def __init__(self, directory: Path, _: Path) -> None:
        self._server = Server(directory / "data")
        self._store = directory / "data" / "store"
        self.port = self._server.port

    def start(self) -> None:
        """Start it."""
        self._server.start()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._server.process.poll() is None:
            self._server.kill()

    def loaded(self, acknowledged: int, timeout: float) -> int:  # noqa: ARG002 - it knows what waits
        """Wait until every span is stored and in its run's facts."""
        self._server.drain(timeout)
        return self._server.stored_spans()

    def settle(self, acknowledged: int, timeout: float) -> tuple[int, float]:  # noqa: ARG002 - it knows what waits
        """Wait until every span is stored and in its run's facts."""
        try:
            seconds = self._server.drain(timeout)
        except TimeoutError:
            seconds = timeout
        # A server that is stopped properly goes on storing for a while, and the time is over.
        self._server.kill()
        with closing(open_store(self._store)) as store:
            return int(store.query("SELECT count() AS n FROM spans FINAL")["n"].to_pylist()[0]), seconds


class SqlitePeer(Peer):
    """A peer that keeps its spans in an SQLite database, as both do by default.

    Args:
        directory: for its data.
        cache: where environments are kept.
    """

    package: str
    version: str
    alive: str
    database: str

    def __init__(self, directory: Path, cache: Path) -> None:
        self._bin = environment(self.package, self.version, cache)
        self._directory = directory
        self.port = free_port()
        self._extra_port = free_port()

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line."""

    @abstractmethod
    def environ(self) -> dict[str, str]:
        """Return what its environment needs."""

    def start(self) -> None:
        """Start it in a process group of its own and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / self.command()[0]), *self.command()[1:]],
                cwd=self._directory,
                env={**os.environ, **self.environ(), "DO_NOT_TRACK": "true"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                msg = f"{self.name} did not start: {log.name}"
                raise RuntimeError(msg)
            time.sleep(0.2)

    def kill(self) -> None:
        """End all its processes as a crash would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def loaded(self, acknowledged: int, timeout: float) -> int:
        """Wait until its database holds the spans, or the time is over."""
        return self.settle(acknowledged, timeout)[0]

    def settle(self, acknowledged: int, timeout: float) -> tuple[int, float]:
        """Wait until its database holds the spans, or the time is over."""
        begin = time.monotonic()
        while (stored := self._count()) < acknowledged and time.monotonic() - begin < timeout:
            time.sleep(0.5)
        return stored, time.monotonic() - begin

    def _count(self) -> int:
        with closing(sqlite3.connect(f"file:{self._directory / self.database}?mode=ro", uri=True, timeout=30)) as found:
            return int(found.execute("SELECT count(*) FROM spans").fetchone()[0])

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.alive}", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Phoenix(SqlitePeer):
    """Arize Phoenix."""

    package, version = "arize-phoenix", "20.26.1"
    name = f"Phoenix {version}"
    alive, database = "/healthz", "phoenix.db"

    def command(self) -> list[str]:
        """Return the command line."""
        return ["phoenix", "serve"]

    def environ(self) -> dict[str, str]:
        """Return ports, data directory and no telemetry."""
        return {
            "PHOENIX_WORKING_DIR": str(self._directory),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self._extra_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }


class Mlflow(SqlitePeer):
    """MLflow's tracking server."""

    package, version = "mlflow", "3.17.2"
    name = f"MLflow {version}"
    alive, database = "/health", "mlflow.db"
    headers = (("x-mlflow-experiment-id", "0"),)

    def command(self) -> list[str]:
        """Return the command line."""
        store = f"sqlite:///{self._directory / self.database}"
        return ["mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri", store]

    def environ(self) -> dict[str, str]:
        """Return no telemetry."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true"}


PEERS: tuple[type[Spanhouse | Phoenix | Mlflow], ...] = (Spanhouse, Phoenix, Mlflow)
