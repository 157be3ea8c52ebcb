"""Recordings of every convention, through decoding, the store and the facts, become the runs they were.

Those of real frameworks lie beside the repository; the ones under ``tests/fixtures`` were made with the SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.recordings import RECORDINGS, Recording, records

from spanhouse_analysis import contents, live, rows
from spanhouse_analysis.job import FactsJob
from spanhouse_collector.normalise import Normaliser
from spanhouse_storage import Store, migrate, open_store, reads
from spanhouse_storage.reads import AuditFilter, RunFilter, ScoreFilter
from spanhouse_storage.state import open_state

RUN_FIELDS = {
    "llm_calls": "model_calls",
    "tool_calls": "tool_calls",
    "tool_errors": "tool_errors",
    "denials": "policy_denials",
    "agent_name": "agent",
    "model": "model",
    "session_id": "session_id",
    "user_id": "user_id",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "asked": "input_preview",
    "answered": "output_preview",
}
ABOUT_ALL = {"framework", "runs", "others", "embeddings", "evaluations", "audit_events", "streamed_calls", "tool_name"}


@dataclass
class Stored:
    """The store with every recording, and each one's tenant by its name."""

    store: Store
    tenants: dict[str, str]


@dataclass
class Found:
    """What the store holds of one recording, as the API gives it."""

    runs: list[dict[str, Any]]
    calls: list[dict[str, Any]] = field(default_factory=list)
    spans: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """A store with every recording in it, each under a tenant of its name, logs before spans."""
    folder = tmp_path_factory.mktemp("recordings")
    opened = open_store(folder / "store")
    migrate(opened)
    state = open_state(folder / "state.db")
    now = datetime.now(UTC)
    times = [now]
    job = FactsJob(opened, state, clock=lambda: times[-1], quiet_seconds=0)
    normaliser = Normaliser()
    tenants: dict[str, str] = {}
    for recording in RECORDINGS:
        # One record a batch: what belongs together often comes apart.
        for number, record in enumerate(records(recording, int(now.timestamp() * 1e6))):
            batch = normaliser([record])
            for table, found in batch.tables.items():
                if found.num_rows:
                    opened.insert(table, found, f"{recording.name}-{table}-{number}")
            job.touch(batch.traces)
            # One of them names a tenant of its own.
            tenants[recording.name] = next(iter(batch.traces["tenant"].to_pylist()), recording.name)
    # A run whose root has a parent elsewhere waits a while for it.
    times.append(now + timedelta(minutes=2))
    job.tick()
    yield Stored(opened, tenants)
    state.dispose()
    opened.close()


def found(stored: Stored, recording: Recording) -> Found:
    """Return everything the store holds of a recording."""
    store, tenant = stored.store, stored.tenants[recording.name]
    runs = rows.runs(reads.list_runs(store, RunFilter(tenant=tenant), sort="started_at").rows)
    calls = rows.runs(reads.list_runs(store, RunFilter(tenant=tenant, type="call")).rows)
    result = Found(runs, calls)
    for run in runs:
        ids = live.span_ids(store, tenant, run["trace_id"], run["run_id"])
        page = reads.spans_page(store, tenant, run["trace_id"], ids, content=True)
        result.spans += contents.filled(store, tenant, run["trace_id"], rows.spans(page.rows, content=True))
        result.steps += live.steps(store, run)
    result.scores = rows.scores(reads.list_scores(store, ScoreFilter(tenant=tenant)).rows)
    result.audit = rows.audit_events(reads.audit_events(store, AuditFilter(tenant=tenant)).rows)
    return result


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_a_recording_becomes_the_runs_it_was(stored: Stored, recording: Recording) -> None:
    """Runs, calls, names, ids, tokens, cost, errors, scores and decisions are those expected, each once."""
    it, wanted = found(stored, recording), recording.expected
    assert len(it.runs) == wanted["runs"]
    [run, *others] = it.runs
    assert {key: run[column] for key, column in RUN_FIELDS.items() if key in wanted} == {
        key: wanted[key] for key in RUN_FIELDS if key in wanted
    }
    assert set(wanted) <= {*RUN_FIELDS, *ABOUT_ALL, "cost_usd"}
    for other, of_other in zip(others, wanted.get("others", ()), strict=True):
        assert {key: other[RUN_FIELDS[key]] for key in of_other} == of_other
    made = [step for step in it.steps if step["kind"] == "tool" and step["status"] != "denied"]
    assert [step["tool"] for step in made] == [wanted["tool_name"]] * wanted["tool_calls"]
    assert run["cost_usd"] == pytest.approx(wanted.get("cost_usd", run["cost_usd"]))
    assert len(it.calls) == wanted.get("embeddings", 0)
    assert len(it.scores) == wanted.get("evaluations", 0)
    assert len(it.audit) == wanted.get("audit_events", 0)
    streamed = stored.store.query(
        "SELECT count() AS n FROM spans FINAL WHERE streaming AND tenant = {t:String}",
        {"t": stored.tenants[recording.name]},
    )
    assert streamed["n"][0].as_py() == wanted.get("streamed_calls", 0)
    assert (run["status"], bool(run["convention"])) == ("ended", True)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_a_recording_shows_what_was_asked_and_answered(stored: Stored, recording: Recording) -> None:
    """Messages stand on the model's spans and in the run's previews, whichever signal carried them."""
    if "asked" not in recording.expected and recording.own:
        pytest.skip("the recording holds no messages")
    it = found(stored, recording)
    assert "weather in Paris" in (it.runs[0]["input_preview"] or "")
    if recording.own:
        return
    models = [span for span in it.spans if span["span_class"] == "llm" and span["output"] is not None]
    assert "weather in Paris" in json.dumps([span["input"] for span in models])
    if not recording.expected.get("tool_errors"):
        assert "rainy" in (it.runs[0]["output_preview"] or "")
        assert "rainy" in json.dumps(models[-1]["output"])


def test_a_score_is_found_by_its_run(stored: Stored) -> None:
    """A score that names a span, or an answer, is one of the run they belong to."""
    for recording in RECORDINGS:
        if not recording.expected.get("evaluations"):
            continue
        [run] = found(stored, recording).runs
        ids, responses = live.span_and_response_ids(stored.store, run["tenant"], run["trace_id"], run["run_id"])
        scored = reads.ScoredRun(run["tenant"], run["trace_id"], run["run_id"], ids, responses)
        [score] = rows.scores(reads.list_scores(stored.store, ScoreFilter(run=scored)).rows)
        assert score["name"]
        assert score["value"] is not None or score["label"]
