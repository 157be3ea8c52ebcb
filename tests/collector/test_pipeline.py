"""From acknowledged to stored, against a real embedded store: each span once, whatever fails on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.support.collector_server import pipeline_of, running
from tests.support.export_requests import logs, span_id, trace_id, traces

from spanhouse_collector.batching import BatchLimits
from spanhouse_collector.decoder import COMMAND
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.pipeline import Pipeline
from spanhouse_collector.records import TRACES_SCHEMA, RawRecord
from spanhouse_storage import QueryError, Store, StoreUnavailableError, migrate, open_store

FAULTY_CHILD = (sys.executable, str(Path(__file__).parents[1] / "support" / "faulty_child.py"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store"))
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    for table in ("spans", "logs"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened


class Faulty:
    """The real store behind a fault: called with the table and its rows before (or after) each insert."""

    def __init__(self, store: Store, fault: Callable[[str, pa.Table], None], *, after: bool = False) -> None:
        self.store, self.fault, self.after = store, fault, after
        self.failed = threading.Event()
        self.tokens: list[str] = []

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert, and let the fault have its say; the ledger's rows, which come last, pass by it."""
        if table == "ledger":
            self.store.insert(table, rows, token)
            return
        self.tokens.append(token)
        try:
            if not self.after:
                self.fault(table, rows)
            self.store.insert(table, rows, token)
            if self.after:
                self.fault(table, rows)
        except Exception:
            self.failed.set()
            raise


def send(pipeline: Pipeline, *requests: Any, first_us: int = 1_760_000_000_000_000) -> None:
    """Submit requests one after another and wait until all are durable."""

    async def submit() -> None:
        for number, request in enumerate(requests):
            signal_name = "logs" if "Logs" in type(request).__name__ else "traces"
            record = RawRecord(signal_name, request.SerializeToString(), first_us + number)  # type: ignore[arg-type]
            await pipeline.submit(record, 1)

    asyncio.run(submit())


def raw_ids(store: Store) -> list[str]:
    """The span ids of all rows, repeats included."""
    return sorted(store.query("SELECT span_id FROM spans").column("span_id").to_pylist())


def ids(*numbers: int) -> list[str]:
    return sorted(span_id(number, 0).hex() for number in numbers)


def dead_letters(directory: Path) -> list[tuple[bytes, Any]]:
    """The bodies set aside, and what was noted about them."""
    return [
        (file.read_bytes(), json.loads(file.with_name(file.name.replace(".otlp.pb", ".json")).read_text()))
        for file in sorted((directory / "dead-letters").glob("*.otlp.pb"))
    ]


def test_spans_and_logs_come_into_the_store_and_the_touched_traces_are_told(store: Store, tmp_path: Path) -> None:
    touched: list[pa.Table] = []
    with running(pipeline_of(store, tmp_path, touched=touched)) as pipeline:
        send(pipeline, traces(1, 3), traces(2), logs(["one"]))
        assert pipeline.drain(30)
        assert pipeline.lag().records == 0
    assert len(raw_ids(store)) == 4
    assert store.query("SELECT body FROM logs").column("body").to_pylist() == ["one"]
    told = pa.concat_tables(touched)
    assert told.schema == TRACES_SCHEMA
    assert set(told.column("trace_id").to_pylist()) == {trace_id(1).hex(), trace_id(2).hex()}
    assert set(told.column("rooted").to_pylist()) == {True}


def test_a_body_sent_again_is_one_span_in_the_end(store: Store, tmp_path: Path) -> None:
    with running(pipeline_of(store, tmp_path)) as pipeline:
        for round_number in range(3):
            send(pipeline, traces(1), traces(2), first_us=1_760_000_000_000_000 + 10 * round_number)
            assert pipeline.drain(30)
    final = store.query("SELECT span_id FROM spans FINAL").column("span_id").to_pylist()
    assert sorted(final) == ids(1, 2)


def test_while_the_store_is_away_all_is_taken_and_afterwards_stored_once(store: Store, tmp_path: Path) -> None:
    away = threading.Event()
    away.set()

    def fault(table: str, rows: pa.Table) -> None:
        if away.is_set():
            msg = "no answer"
            raise StoreUnavailableError(msg)

    sink = Faulty(store, fault)
    with running(pipeline_of(sink, tmp_path)) as pipeline:
        send(pipeline, *(traces(number) for number in range(20)))
        assert sink.failed.wait(30)
        assert pipeline.lag().records == 20
        assert pipeline.lag().bytes > 0
        assert raw_ids(store) == []
        away.clear()
        assert pipeline.drain(30)
    assert raw_ids(store) == ids(*range(20))


def test_an_insert_whose_answer_was_lost_is_not_doubled(store: Store, tmp_path: Path) -> None:
    lost = iter([True, True])

    def fault(table: str, rows: pa.Table) -> None:
        if next(lost, False):
            msg = "the connection broke after the insert"
            raise StoreUnavailableError(msg)

    sink = Faulty(store, fault, after=True)
    with running(pipeline_of(sink, tmp_path)) as pipeline:
        send(pipeline, traces(1))
        assert pipeline.drain(30)
    assert len(sink.tokens) == 3
    assert len(set(sink.tokens)) == 1
    assert raw_ids(store) == ids(1)


def test_a_batch_under_way_at_a_crash_is_repeated_with_the_same_boundaries_and_tokens(
    store: Store, tmp_path: Path
) -> None:
    def fault(table: str, rows: pa.Table) -> None:
        msg = "the process dies before it can note that the batch is stored"
        raise StoreUnavailableError(msg)

    crashing = Faulty(store, fault, after=True)
    with running(pipeline_of(crashing, tmp_path)) as pipeline:
        send(pipeline, traces(1), traces(2))
        assert crashing.failed.wait(30)
        send(pipeline, traces(3), first_us=1_760_000_000_000_900)
    stored_before = raw_ids(store)
    assert stored_before

    second = Faulty(store, lambda *_: None)
    with running(pipeline_of(second, tmp_path)) as pipeline:
        assert pipeline.drain(30)
    assert second.tokens[0] == crashing.tokens[0]
    assert raw_ids(store) == ids(1, 2, 3)
    assert not list(tmp_path.glob("*.segment"))


def test_a_child_that_is_killed_is_replaced_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    with running(pipeline_of(store, tmp_path)) as pipeline:
        seen = set()
        for number in range(3):
            send(pipeline, traces(number))
            assert pipeline.drain(30)
            assert pipeline._running
            pid = pipeline._running.decoder.pid
            assert pid
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        send(pipeline, traces(3))
        assert pipeline.drain(30)
    assert len(seen) == 3
    assert raw_ids(store) == ids(0, 1, 2, 3)
    assert not dead_letters(tmp_path)


@pytest.mark.parametrize(("poison", "reason"), [("DIE", "failed 2 times"), ("RAISE", "this body is poison")])
def test_a_record_that_harms_the_child_is_set_aside_whole_and_its_neighbours_are_stored(
    store: Store, tmp_path: Path, poison: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = traces(2, attributes={"text": poison})
    with running(pipeline_of(store, tmp_path, decoder_command=FAULTY_CHILD)) as pipeline:
        send(pipeline, *(bad if number == 2 else traces(number) for number in range(4)))
        assert pipeline.drain(60)
        counted = pipeline.metrics.registry.get_sample_value(
            "spanhouse_collector_dead_letters_total", {"signal": "traces"}
        )
    assert raw_ids(store) == ids(0, 1, 3)
    ((body, about),) = dead_letters(tmp_path)
    assert body == bad.SerializeToString()
    assert reason in about["reason"]
    assert (about["signal"], about["tenant"], counted) == ("traces", "default", 1)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "dead-letters").iterdir()} == {0o600}
    assert "were set aside in" in caplog.text


def test_a_row_the_store_refuses_is_set_aside_and_its_neighbours_are_stored(store: Store, tmp_path: Path) -> None:
    def fault(table: str, rows: pa.Table) -> None:
        if span_id(2, 0).hex() in rows.column("span_id").to_pylist():
            msg = "cannot store this row"
            raise QueryError(msg, code=6)

    with running(pipeline_of(Faulty(store, fault), tmp_path)) as pipeline:
        send(pipeline, *(traces(number) for number in range(5)))
        assert pipeline.drain(30)
    assert raw_ids(store) == ids(0, 1, 3, 4)
    assert [about["reason"] for _, about in dead_letters(tmp_path)] == ["cannot store this row"]


def test_a_store_that_is_not_migrated_is_waited_for_and_no_record_is_blamed(store: Store, tmp_path: Path) -> None:
    missing = threading.Event()
    missing.set()

    def fault(table: str, rows: pa.Table) -> None:
        if missing.is_set():
            msg = "table spans does not exist"
            raise QueryError(msg, code=60)

    sink = Faulty(store, fault)
    with running(pipeline_of(sink, tmp_path)) as pipeline:
        send(pipeline, traces(1))
        assert sink.failed.wait(30)
        missing.clear()
        assert pipeline.drain(30)
    assert raw_ids(store) == ids(1)
    assert not dead_letters(tmp_path)


@pytest.mark.parametrize(
    ("command", "attributes"),
    [
        (("/nonexistent/python",), {}),
        ((sys.executable, "-c", "raise SystemExit(3)"), {}),
        (FAULTY_CHILD, {"text": "FULL"}),
    ],
    ids=["no such program", "does not start", "disk full"],
)
def test_a_decoder_that_cannot_work_blames_no_record_and_the_next_start_stores_all(
    store: Store, tmp_path: Path, command: tuple[str, ...], attributes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = pipeline_of(store, tmp_path, decoder_command=command)
    with running(pipeline):
        send(pipeline, traces(1, attributes=attributes))
        assert not pipeline.drain(0.5)
    assert ", trying again in" in caplog.text
    assert not dead_letters(tmp_path)
    with running(pipeline_of(store, tmp_path)) as pipeline:
        assert pipeline.drain(30)
    assert raw_ids(store) == ids(1)


def test_a_record_damaged_on_disk_before_it_is_stored_is_counted_and_costs_no_other(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(pipeline_of(store, tmp_path, limits=BatchLimits(linger=600, small_linger=600))) as pipeline:
        send(pipeline, *(traces(number) for number in range(3)))
        (file,) = tmp_path.glob("*.segment")
        file.write_bytes(file.read_bytes().replace(span_id(1, 0), bytes(8)))
        assert pipeline.drain(30)
    assert "cannot be read from the journal" in caplog.text
    assert pipeline.metrics.registry.get_sample_value("spanhouse_collector_journal_damaged_records_total") == 1
    assert raw_ids(store) == ids(0, 2)


def test_a_listener_that_fails_is_counted_and_holds_up_nothing(store: Store, tmp_path: Path) -> None:
    def fail(_: pa.Table, __: object) -> None:
        msg = "the listener is broken"
        raise RuntimeError(msg)

    pipeline = pipeline_of(store, tmp_path)
    pipeline._on_stored = fail
    with running(pipeline):
        for number in range(2):
            send(pipeline, traces(number))
            assert pipeline.drain(30)
    assert pipeline.metrics.registry.get_sample_value("spanhouse_collector_callback_errors_total") == 2
    assert raw_ids(store) == ids(0, 1)


def test_journal_files_go_once_their_records_are_stored(store: Store, tmp_path: Path) -> None:
    with running(pipeline_of(store, tmp_path, segment_bytes=300)) as pipeline:
        for number in range(10):
            send(pipeline, traces(number))
            assert pipeline.drain(30)
        assert len(list(tmp_path.glob("*.segment"))) <= 2
        assert pipeline.lag().journal_bytes == sum(file.stat().st_size for file in tmp_path.glob("*.segment"))
    assert not list(tmp_path.glob("*.segment"))
    assert raw_ids(store) == ids(*range(10))


def test_a_stop_leaves_no_thread_no_child_and_a_directory_another_can_take(store: Store, tmp_path: Path) -> None:
    before = threading.active_count()
    pipeline = pipeline_of(store, tmp_path)
    pipeline.start()
    send(pipeline, traces(1))
    assert pipeline.drain(30)
    assert pipeline._running
    pid = pipeline._running.decoder.pid
    assert pid
    pipeline.stop()
    pipeline.stop()
    assert threading.active_count() == before
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(JournalUnavailableError):
        send(pipeline, traces(2))
    with running(pipeline_of(store, tmp_path)) as again:
        assert again.lag().records == 0


def test_the_child_ignores_the_terminals_interrupt_and_ends_when_its_input_closes() -> None:
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin
    assert child.stdout
    assert json.loads(child.stdout.readline()) == {"ready": True}
    child.send_signal(signal.SIGINT)
    child.stdin.write(b'{"ranges": [], "into": "/nonexistent", "name": "x"}\n')
    child.stdin.flush()
    assert "unavailable" in json.loads(child.stdout.readline())
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    child.stdout.close()
