"""What real frameworks sent for one small run, and what the columns must add up to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.otlp_bodies import RECEIVED_US

from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord

CAPTURES = Path(__file__).parents[2].parent / "shared" / "otlp"

CONVENTION = {
    "google_adk": "google_adk",
    "langgraph": "openinference",
    "langgraph_error": "openinference",
    "llama_index": "openinference",
    "mlflow": "mlflow",
    "openai_agents": "openinference",
    "openllmetry": "openllmetry",
    "otel_genai_openai": "otel_genai",
    "pydantic_ai": "pydantic_ai",
    "pydantic_ai_error": "pydantic_ai",
    "strands": "strands",
}

pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason="the recordings are not on this machine")


@pytest.mark.parametrize("name", CONVENTION)
def test_capture(name: str) -> None:
    """Classes, names, ids, tokens and cost of a recording are those the run must have."""
    expected = json.loads((CAPTURES / f"{name}.expected.json").read_text())
    records = [RawRecord("traces", (CAPTURES / f"{name}.otlp.pb").read_bytes(), RECEIVED_US)]
    logs = CAPTURES / f"{name}.logs.otlp.pb"
    if logs.exists():
        records.append(RawRecord("logs", logs.read_bytes(), RECEIVED_US))
    found = Normaliser()(records)
    spans = found.tables["spans"].to_pylist()
    assert {span["convention"] for span in spans} == {CONVENTION[name]}

    models = _counted(spans)
    tools = [span for span in spans if span["span_class"] == "tool"]
    agents = [span for span in spans if span["span_class"] in {"agent", "workflow"}]
    actual = {
        "llm_calls": len(models),
        "tool_calls": len(tools),
        "tool_errors": sum(span["status"] == "error" for span in tools),
        "embeddings": sum(span["span_class"] == "embedding" for span in spans),
        "streamed_calls": sum(span["streaming"] for span in models),
        "evaluations": sum(row["event_name"] == "gen_ai.evaluation.result" for row in found.tables["logs"].to_pylist()),
        "agent_name": _one(agents, "agent"),
        "tool_name": _one(tools, "tool_name"),
        "model": _one([{"model": span["response_model"] or span["request_model"]} for span in models], "model"),
        "session_id": _one(spans, "session_id"),
        "user_id": _one(spans, "user_id"),
        "cost_usd": pytest.approx(sum(span["cost_usd"] or 0 for span in models)),
        **{
            column: sum(span[column] or 0 for span in models)
            for column in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
        },
    }
    wanted = {key: value for key, value in expected.items() if key not in {"framework", "runs"}}
    assert {key: actual[key] for key in wanted} == wanted


@pytest.mark.parametrize("name", sorted(set(CONVENTION) - {"mlflow"}))
def test_capture_shows_question_answer_and_tool_call(name: str) -> None:
    """Whatever form the content has on the wire, model and tool spans show it in theirs."""
    spans = Normaliser()([RawRecord("traces", (CAPTURES / f"{name}.otlp.pb").read_bytes(), RECEIVED_US)])
    rows = spans.tables["spans"].to_pylist()
    models = sorted(_counted(rows), key=lambda span: span["start"])
    asked = json.loads(models[0]["input"])
    assert "What is the weather in Paris?" in json.dumps(asked)
    parts = [part for message in json.loads(models[0]["output"]) for part in message["parts"]]
    assert [part["name"] for part in parts if part["type"] == "tool_call"] == ["weather"]
    (tool,) = [span for span in rows if span["span_class"] == "tool"]
    assert "Paris" in tool["input"]
    assert len(tool["args_hash"]) == 16
    if not name.endswith("_error"):
        answer = json.loads(models[-1]["output"])[-1]
        assert "It is rainy in Paris, 14 degrees." in json.dumps(answer["parts"])
        assert "rainy, 14C" in tool["output"]


def test_equal_tool_calls_hash_alike_across_frameworks() -> None:
    """One call with one argument has one hash, but where the framework hides the argument's name."""
    hashes = {}
    for name in CONVENTION:
        table = Normaliser()([RawRecord("traces", (CAPTURES / f"{name}.otlp.pb").read_bytes(), RECEIVED_US)])
        rows = table.tables["spans"].to_pylist()
        hashes[name] = next(span["args_hash"] for span in rows if span["span_class"] == "tool")
    named = {found for name, found in hashes.items() if not name.startswith("langgraph")}
    assert len(named) == 1


def _counted(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the model calls that answered (or failed) and have no model call below them."""
    by_id = {span["span_id"]: span for span in spans}
    above: set[str] = set()
    for span in spans:
        parent = by_id.get(span["parent_span_id"])
        while span["span_class"] == "llm" and parent is not None:
            above.add(parent["span_id"])
            parent = by_id.get(parent["parent_span_id"])
    evidence = ("input_tokens", "output_tokens", "finish_reasons", "response_id", "output")
    return [
        span
        for span in spans
        if span["span_class"] == "llm"
        and span["span_id"] not in above
        and (span["status"] == "error" or any(span[column] for column in evidence))
    ]


def _one(rows: list[dict[str, Any]], column: str) -> str:
    (value,) = {row[column] for row in rows} - {""} or {""}
    return str(value)
