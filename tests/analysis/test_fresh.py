"""Facts from spans kept in memory: the same as those read from the store, and only where memory has them all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.support.rows import rows as stored_rows
from tests.support.rows import span as stored_span
from tests.support.small_traces import EPOCH, Row, put, put_batch, span, traces_of

from spanhouse_analysis import frames
from spanhouse_analysis import job as job_module
from spanhouse_analysis.fresh import FreshSpans
from spanhouse_analysis.job import FactsJob
from spanhouse_analysis.reading import facts_of_traces
from spanhouse_analysis.seen import SeenTraces, checksums
from spanhouse_storage import Store
from spanhouse_storage.derived import FROM_LOG
from spanhouse_storage.state import open_state

BEGAN = EPOCH - timedelta(hours=1)
LEASE = 1800.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> datetime:
        """Return the time it stands at."""
        return self.now


class Reads:
    """Counts the traces whose spans the job read from the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traces: list[str] = []

        def reading(store: Store, traces: list[tuple[str, str]], *args: Any, **kwargs: Any) -> Any:
            self.traces += [trace for _, trace in traces]
            return facts_of_traces(store, traces, *args, **kwargs)

        monkeypatch.setattr(job_module, "facts_of_traces", reading)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    engine = open_state(tmp_path / "state.db")
    yield engine
    engine.dispose()


@pytest.fixture
def job(store: Store, state: Engine, clock: Clock) -> FactsJob:
    return begun(store, state, clock)


def begun(store: Store, state: Engine, clock: Clock) -> FactsJob:
    """A job that knows what was there before it."""
    job = FactsJob(store, state, clock=clock, lease_seconds=LEASE)
    job.recover()
    job.tick()
    return job


def forward(clock: Clock, seconds: float) -> None:
    clock.now += timedelta(seconds=seconds)


def published(store: Store, table: str) -> list[Row]:
    return comparable(frames.from_table(store.query(f"SELECT * FROM {table} FINAL")), table)


def comparable(rows: pl.DataFrame, table: str) -> list[Row]:
    """Return rows without what depends on when they were computed, in one order."""
    key = ["tenant", "run_id", *(["seq"] if table == "steps" else [])]
    names = [name for name in frames.from_table(stored_rows(table)).columns if name not in {"version", "computed_at"}]
    return rows.select(names).sort(key).to_dicts()


def assert_as_read(store: Store, traces: list[tuple[str, str]], now: datetime) -> None:
    """What is published is what reading all spans of the traces gives."""
    found = facts_of_traces(store, traces, now, lease_seconds=LEASE)
    assert published(store, "runs") == comparable(found.runs, "runs")
    assert published(store, "steps") == comparable(found.steps, "steps")


def finished(trace_id: str = "t1", **agent: Any) -> list[Row]:
    said = '[{"role":"user","parts":[{"type":"text","content":"What is due?"}]}]'
    answer = '[{"role":"assistant","parts":[{"type":"text","content":"Nothing."}]}]'
    return [
        span("m", "llm", "a", at=1, trace_id=trace_id, input_tokens=10, response_model="gpt", input=said),
        span("t", "tool", "a", at=2, trace_id=trace_id, tool_name="search", input="{}", output="text"),
        span("n", "llm", "a", at=3, trace_id=trace_id, input_tokens=10, output=answer, response_model="gpt"),
        span("a", "agent", seconds=5, trace_id=trace_id, **agent),
    ]


def test_a_new_trace_is_computed_without_reading_its_spans(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    rows = finished()
    put_batch(store, job, *rows[:2])
    put_batch(store, job, *rows[2:])
    forward(clock, 2)
    assert job.tick() == 1
    assert reads.traces == []
    [run] = published(store, "runs")
    assert (run["input_preview"], run["output_preview"], run["model_calls"]) == ("What is due?", "Nothing.", 2)
    assert_as_read(store, [("default", "t1")], clock())


def test_a_span_that_comes_after_its_run_was_published_makes_the_trace_be_read(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    put_batch(store, job, *finished())
    forward(clock, 2)
    job.tick()
    put_batch(store, job, span("z", "llm", "a", at=4, input_tokens=5))
    forward(clock, 2)
    assert job.tick() == 1
    assert reads.traces == ["t1"]
    assert_as_read(store, [("default", "t1")], clock())


def test_a_trace_that_had_spans_before_the_process_is_read(
    store: Store, state: Engine, clock: Clock, reads: Reads
) -> None:
    rows = finished()
    put(store, None, rows[0])
    job = begun(store, state, clock)
    forward(clock, 10)
    job.tick()
    reads.traces.clear()
    put_batch(store, job, *rows[1:])
    forward(clock, 2)
    job.tick()
    assert reads.traces == ["t1"]
    assert_as_read(store, [("default", "t1")], clock())


def test_a_trace_of_which_only_a_run_of_long_ago_is_stored_is_read(
    store: Store, state: Engine, clock: Clock, reads: Reads
) -> None:
    put(store, None, span("a", "agent", is_final=False, seconds=0, run_hint="r"))
    first = begun(store, state, clock)
    forward(clock, 10)
    first.tick()
    forward(clock, 3 * 86_400)
    second = begun(store, state, clock)
    reads.traces.clear()
    put_batch(store, second, span("a", "agent", seconds=3 * 86_400, run_hint="r"))
    put_batch(store, second, span("m", "llm", "a", at=3 * 86_400, run_hint="r", input_tokens=1))
    forward(clock, 2)
    second.tick()
    assert "t1" in reads.traces
    assert_as_read(store, [("default", "t1")], clock())


def test_a_trace_whose_spans_changed_in_the_store_is_read_from_then_on(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    rows = finished()
    put_batch(store, job, *rows[:3])
    put(store, job, span("m", "llm", "a", at=1, input_tokens=99, version=(1 << 60) + 99))
    put_batch(store, job, rows[3])
    forward(clock, 2)
    job.tick()
    assert reads.traces == ["t1"]
    assert_as_read(store, [("default", "t1")], clock())


def test_a_batch_that_is_not_known_whole_makes_its_traces_be_read(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    rows = finished()
    put_batch(store, job, *rows[:2])
    put(store, None, *rows[2:])
    job.stored(traces_of(rows[2:]), None)
    forward(clock, 2)
    job.tick()
    assert reads.traces == ["t1"]
    assert_as_read(store, [("default", "t1")], clock())


def test_a_deletion_from_the_store_is_a_deletion_from_memory(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    rows = finished()
    put_batch(store, job, *rows[:3])
    store.execute("DELETE FROM spans WHERE span_id = 'm'")
    job.forget()
    put_batch(store, job, rows[3])
    forward(clock, 2)
    job.tick()
    assert reads.traces == ["t1"]
    assert published(store, "runs")[0]["model_calls"] == 1
    assert_as_read(store, [("default", "t1")], clock())


def test_a_text_too_long_to_keep_is_read_for_the_preview(store: Store, job: FactsJob, clock: Clock) -> None:
    put_batch(store, job, *finished(input="x" * 70_000, output="done"))
    forward(clock, 2)
    job.tick()
    assert published(store, "runs")[0]["input_preview"] == "x" * 500
    assert_as_read(store, [("default", "t1")], clock())


def test_a_running_run_is_computed_from_memory_each_time(
    store: Store, job: FactsJob, clock: Clock, reads: Reads
) -> None:
    put_batch(store, job, span("t", "tool", "a", tool_name="search"))
    for number in range(3):
        put_batch(store, job, span(f"m{number}", "llm", "a", at=number, input_tokens=1))
        forward(clock, 6)
        assert job.tick() == 1
    put_batch(store, job, span("a", "agent", seconds=9))
    forward(clock, 2)
    job.tick()
    assert reads.traces == []
    assert published(store, "runs")[0]["model_calls"] == 3
    assert_as_read(store, [("default", "t1")], clock())


# --- what is kept ---


def kept(limit: int = 1 << 20) -> FreshSpans:
    seen = SeenTraces()
    seen.complete(checksums([]), BEGAN)
    return FreshSpans(seen, limit)


def give(fresh: FreshSpans, *spans: Row, old: list[tuple[str, str]] | None = None) -> None:
    full = [stored_span(**row) for row in spans]
    fresh.add(frames.from_table(traces_of(spans)), [stored_rows("spans", *full)], old or [])


def test_spans_kept_stay_within_the_limit_and_what_does_not_fit_is_given_up_whole() -> None:
    fresh = kept(limit=20_000)
    for number in range(100):
        give(fresh, *finished(f"t{number}"))
        assert fresh.bytes <= 20_000
    assert 0 < len(fresh) < 100
    [trace] = fresh.among([("default", "t0")])
    assert fresh.spans([trace]).height == 4
    assert fresh.among([("default", "t99")]) == []
    fresh.drop(fresh.among([("default", f"t{number}") for number in range(100)]))
    assert (len(fresh), fresh.bytes) == (0, 0)
    give(fresh, *finished("t99"))
    assert len(fresh) == 0, "spans of it went by that are not here"


def test_runs_that_go_on_make_room_when_half_of_it_is_used() -> None:
    fresh = kept(limit=20_000)
    give(fresh, *finished("t1"))
    fresh.computed([("default", "t1")], [("default", "t1")])
    assert fresh.among([("default", "t1")])
    while fresh.bytes <= 10_000:
        give(fresh, *finished(f"x{fresh.bytes}"))
    fresh.computed([("default", "t1")], [("default", "t1")])
    assert not fresh.among([("default", "t1")])


def test_a_trace_of_the_same_id_in_another_tenant_is_another_trace() -> None:
    fresh = kept()
    mine, theirs = finished("t1"), [{**row, "tenant": "other"} for row in finished("t1")[:2]]
    give(fresh, *mine, *theirs)
    assert fresh.spans([("default", "t1")]).height == 4
    assert fresh.spans([("other", "t1")])["tenant"].to_list() == ["other", "other"]


def test_a_trace_that_starts_before_what_is_known_is_not_kept() -> None:
    fresh = kept()
    give(fresh, *finished("t1"))
    give(fresh, {**span("o", "llm", "a"), "start": BEGAN, "end": BEGAN})
    assert fresh.among([("default", "t1")]) == []


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=60, unique=True), st.integers(1, 8))
def test_what_was_seen_is_contained_or_starts_too_early(traces: list[tuple[str, str]], generation: int) -> None:
    """Whatever was forgotten, a trace that was added is never taken for a new one."""
    seen = SeenTraces(generation)
    seen.complete(checksums([]), BEGAN)
    starts = {trace: EPOCH + timedelta(minutes=10 * number) for number, trace in enumerate(traces)}
    for trace in traces:
        seen.add(checksums([trace]), starts[trace])
    for trace in traces:
        assert seen.contain(checksums([trace]))[0] or not seen.reaches(starts[trace])


# --- the same both ways ---

CLASSES = st.sampled_from(
    ["agent", "workflow", "llm", "llm", "tool", "tool", "step", "other", "embedding", "guardrail"]
)
TEXTS = st.sampled_from(
    ["", "plain", '[{"role":"user","content":"hi"}]', '[{"role":"assistant","content":"yes"}]', "[]"]
)


@st.composite
def spans_of_a_trace(draw: st.DrawFn, trace_id: str) -> list[Row]:
    """Spans of one trace in any order: nested or orphaned, sent twice, pending first, changed later, told by logs."""
    rows: list[Row] = []
    ids = [f"s{number}" for number in range(draw(st.integers(1, 6)))]
    for span_id in ids:
        parent = draw(st.sampled_from(["", "gone", *ids]))
        versions = draw(st.lists(st.booleans(), min_size=1, max_size=3))
        start = draw(st.integers(0, 20))
        of_class = draw(CLASSES)
        for number, is_final in enumerate(versions):
            rows.append(
                span(
                    span_id,
                    of_class,
                    parent,
                    trace_id=trace_id,
                    at=start,
                    seconds=draw(st.integers(0, 5)),
                    is_final=is_final,
                    version=(int(is_final) << 60) + 10 * len(rows) + number,
                    input=draw(TEXTS),
                    output=draw(TEXTS),
                    input_tokens=draw(st.sampled_from([None, 0, 7])),
                    tool_name=draw(st.sampled_from(["", "search"])) if of_class == "tool" else "",
                    status=draw(st.sampled_from(["ok", "error"])),
                    run_hint=draw(st.sampled_from(["", "", f"r-{trace_id}"])),
                    flags=draw(st.sampled_from([0, 0, 0, FROM_LOG])),
                )
            )
            if draw(st.booleans()):
                rows.append(rows[-1])
    return rows


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_facts_from_memory_are_those_of_the_store(
    opened: Store, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Over any batches, with passes between them, what is published at the end is what reading everything gives."""
    for table in ("spans", "runs", "steps"):
        opened.execute(f"TRUNCATE TABLE {table}")
    engine = open_state(tmp_path_factory.mktemp("state") / "state.db")
    clock = Clock()
    job = begun(opened, engine, clock)
    names = ["t1", "t2"]
    rows = data.draw(st.permutations([row for name in names for row in data.draw(spans_of_a_trace(name))]))
    while rows:
        size = data.draw(st.integers(1, 8))
        batch, rows = rows[:size], rows[size:]
        (put_batch if data.draw(st.integers(0, 7)) else put)(opened, job, *batch)
        if data.draw(st.booleans()):
            forward(clock, data.draw(st.sampled_from([0.5, 2, 7])))
            job.tick()
    forward(clock, 61)
    job.tick()
    assert job.pending() == 0
    assert_as_read(opened, [("default", name) for name in names], clock())
    engine.dispose()
