"""A sink that collects telemetry, and an SDK that is set up towards it and torn down after each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests must not send to whatever the developer's shell names."""
    for name in (
        "SPANHOUSE_URL",
        "SPANHOUSE_TOKEN",
        "SPANHOUSE_OPERATOR_TOKEN",
        "SPANHOUSE_TENANT",
        "SPANHOUSE_ENVIRONMENT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPANHOUSE_SPOOL", str(tmp_path / "spool"))


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    """A running sink; telemetry is shut down before the sink goes."""
    with OtlpSink() as running:
        yield running
        running.always(None)
        sh.shutdown()


@pytest.fixture
def telemetry(sink: OtlpSink) -> OtlpSink:
    """The sink, with the SDK set up towards it as service "shop"."""
    sh.init("shop", url=sink.url, environment="test", tenant="acme")
    return sink
