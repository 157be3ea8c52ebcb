"""A sink that takes the runtime's telemetry, and short words for the agents that tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must not send to whatever the developer's shell names."""
    for name in (
        "SPANHOUSE_URL",
        "SPANHOUSE_TOKEN",
        "SPANHOUSE_OPERATOR_TOKEN",
        "SPANHOUSE_TENANT",
        "SPANHOUSE_ENVIRONMENT",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    """The sink, with the SDK set up towards it; ask for ``spans`` and ``audit`` after ``sh.flush()``."""
    with OtlpSink() as running:
        sh.init("runtime-test", url=running.url)
        yield running
        sh.shutdown()
