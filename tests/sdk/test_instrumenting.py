"""Installed instrumentations are turned on once, and none of them can harm the agent."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from tests.support.instrumentors import Instrumentor

from spanhouse.instrumenting import instrument_installed

HOME = "tests.support.instrumentors"


def point(name: str, what: str) -> EntryPoint:
    """Return an entry point as an installed package has it."""
    return EntryPoint(name, f"{HOME}:{what}", "opentelemetry_instrumentor")


def test_what_is_installed_is_turned_on_once_and_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages for one framework are one; a second call changes nothing; what fails is named and harms nothing."""
    monkeypatch.setattr(Instrumentor, "times", 0)
    monkeypatch.setattr(Instrumentor, "is_instrumented_by_opentelemetry", False)
    monkeypatch.setattr("spanhouse.instrumenting._SWITCHES", {})
    points = [point("openai", "Instrumentor"), point("openai", "Instrumentor"), point("gone", "Nothing")]
    points += [point("bedrock", "WithoutFramework"), point("broken", "Broken"), point("nowhere", "x.y:Z")]
    with caplog.at_level(logging.INFO, "spanhouse"):
        first, second = instrument_installed(points), instrument_installed(points)
    assert first.on == second.on == ("openai",)
    assert Instrumentor.times == 1
    assert [name for name, _ in first.failed] == ["broken", "gone", "nowhere"]
    assert "instrumented: openai" in caplog.text
    assert "broken could not be instrumented: RuntimeError: no such hook" in caplog.text


def test_pydantic_ai_is_turned_on_by_its_own_switch() -> None:
    """`init(instrument="auto")` in a process with the real package: its agents tell what they do, inside our runs."""
    script = """
import asyncio
import spanhouse as sh
sh.init("shop", url="http://127.0.0.1:9", process_metrics=False, instrument="auto")
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
seen = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(seen))
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
with sh.run("outer") as run:
    asyncio.run(Agent(TestModel(), name="inner").run("hello"))
spans = [span for span in seen.get_finished_spans() if span.name != "invoke_agent outer"]
assert spans and {span.attributes["spanhouse.run_id"] for span in spans} == {run.run_id}, spans
sh.shutdown(0)
"""
    subprocess.run([sys.executable, "-Wignore", "-c", script], check=True, timeout=60)
