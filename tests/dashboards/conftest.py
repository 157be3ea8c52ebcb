from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import streamlit as st
import uvicorn
from fastapi import FastAPI
from tests.support.process import free_port
from tests.support.sample_api import create_app
from tests.support.sample_runs import Sample

from spanhouse_dashboards import settings

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


@dataclass(frozen=True)
class Api:
    """The sample API, served on loopback by a thread of this process."""

    url: str
    app: FastAPI

    @property
    def sample(self) -> Sample:
        found = self.app.state.sample
        assert isinstance(found, Sample)
        return found


@pytest.fixture(scope="session")
def served() -> Iterator[Api]:
    app, port = create_app(), free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    _wait_for(url)
    yield Api(url, app)
    server.should_exit = True
    thread.join()


@pytest.fixture
def api(served: Api) -> Iterator[Api]:
    settings.configure(served.url)
    served.app.state.empty = False
    st.cache_data.clear()
    yield served
    settings.configure(None)


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the real pages in a process of their own, started in a directory without any configuration."""
    port = free_port()
    log = tmp_path_factory.mktemp("ui") / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/support/sample_ui.py"), str(port)],
            cwd=log.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            break
        try:
            httpx.get(f"{url}/healthz", timeout=2)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nothing answers at {url}: {log.read_text() if log else 'no log'}")
