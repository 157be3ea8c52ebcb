"""What the API shows of messages and scores that came apart from their spans, and of the models that were called."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.support.process import ServerProcess
from tests.support.recordings import RECORDINGS

HEADERS = {"content-type": "application/x-protobuf"}


@pytest.mark.e2e
def test_the_api_shows_what_came_in_log_records(tmp_path: Path) -> None:
    """Span detail, run, scores of the run and models, of a run whose content came as logs; and a run of logs alone."""
    named = {recording.name: recording for recording in RECORDINGS}
    with ServerProcess(tmp_path / "server") as server:
        for name in ("own_otel_genai_logs", "own_codex_logs"):
            recording = named[name]
            for signal, path in (("traces", recording.traces), ("logs", recording.logs)):
                if path is not None:
                    sent = httpx.post(f"{server.url}/v1/{signal}", content=path.read_bytes(), headers=HEADERS)
                    assert sent.is_success, sent.text
        server.drain()
        runs = server.get("/api/v1/runs")["runs"]
        assert sorted(run["convention"] for run in runs) == ["codex", "codex", "otel_genai"]
        [run] = [run for run in runs if run["convention"] == "otel_genai"]
        assert (run["input_preview"], run["agent"]) == ("What is the weather in Paris?", "weather_agent")
        spans = server.get(f"/api/v1/runs/{run['run_id']}/spans", content=True)["spans"]
        [first, last] = [span for span in spans if span["span_class"] == "llm"]
        assert first["output"][0]["role"] == "assistant"
        one = server.get(f"/api/v1/runs/{run['run_id']}/spans/{last['span_id']}")
        assert (one["input"], one["input"][0]["role"]) == (last["input"], "user")
        [score] = server.get("/api/v1/scores", run_id=run["run_id"])["scores"]
        assert (score["name"], score["value"], score["span_id"]) == ("relevance", 0.9, last["span_id"])
        [model] = [each for each in server.get("/api/v1/models")["models"] if each["model"] == "gpt-4o-mini"]
        assert (model["calls"], model["runs"], model["priced"]) == (4, 2, True)
