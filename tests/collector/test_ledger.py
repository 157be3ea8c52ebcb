"""Of every record received the ledger says one thing, once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from tests.support.collector_server import pipeline_of
from tests.support.otlp_bodies import RECEIVED_US, START_NS, logs, span, traces

from spanhouse_collector import ledger
from spanhouse_collector.caller import Caller
from spanhouse_collector.door import Door
from spanhouse_collector.ledger import Ledger, Rejected
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.pipeline import Pipeline
from spanhouse_collector.records import Counts, RawRecord
from spanhouse_collector.replies import Encoding
from spanhouse_storage import Store, StoreUnavailableError, migrate, open_store
from spanhouse_storage.reads import LEDGER_COUNTS, LedgerFilter, ledger_minutes, ledger_totals

MINUTE = RECEIVED_US // 60_000_000


def lines(book: Ledger, *records: RawRecord, rejected: tuple[Rejected, ...] = ()) -> list[dict[str, Any]]:
    """The lines of a batch, without what is zero; the book remembers it."""
    found, hashes = book.of_batch([Normaliser()(records)], rejected)
    book.remember(hashes)
    return [{name: value for name, value in line.items() if value not in (0, "")} for line in found.to_dicts()]


def line(**said: Any) -> dict[str, Any]:
    return {"tenant": "default", "minute": MINUTE, "signal": "traces", **said}


def test_spans_count_by_the_service_that_sent_them() -> None:
    sent = [traces(span(number=number), resource={"service.name": name}) for number, name in ((1, "a"), (2, "b"))]
    assert lines(Ledger(), *sent) == [
        line(source="a", received=1, stored=1),
        line(source="b", received=1, stored=1),
    ]


def test_a_span_that_came_before_is_a_duplicate_and_one_that_ends_is_not() -> None:
    """The start record and the finished span are two records; either again is a duplicate."""
    book = Ledger()
    pending, final = traces(span({"spanhouse.pending": True})), traces(span())
    assert lines(book, pending, final) == [line(received=2, stored=2)]
    assert lines(book, final, pending) == [line(received=2, duplicated=2)]
    assert lines(Ledger(), final, final) == [line(received=2, stored=1, duplicated=1)]


def test_the_same_ids_of_another_tenant_are_another_span() -> None:
    book = Ledger()
    lines(book, traces(span()))
    assert lines(book, traces(span({"tenant.id": "acme"}))) == [line(tenant="acme", received=1, stored=1)]


def test_late_is_a_span_that_ended_more_than_an_hour_before_it_came() -> None:
    """A long run that ends now is not late, however long ago it began; late is part of stored."""
    hour = 3_600_000_000_000
    came = RECEIVED_US * 1_000
    on_time = span(number=1, start_time_unix_nano=came - 5 * hour, end_time_unix_nano=came - hour)
    late = span(number=2, start_time_unix_nano=came - 5 * hour, end_time_unix_nano=came - hour - 1_000)
    assert lines(Ledger(), traces(on_time, late)) == [line(received=2, stored=2, late=1)]


def test_log_records_and_audit_events_are_counted_each_once() -> None:
    book = Ledger()
    plain = logs(LogRecord(time_unix_nano=START_NS), resource={"service.name": "svc"})
    event = LogRecord(time_unix_nano=START_NS, event_name="tool.call")
    event.attributes.add(key="spanhouse.audit.seq").value.int_value = 1
    expected = [
        line(signal="logs", source="spanhouse.audit", received=1, stored=1),
        line(signal="logs", source="svc", received=1, stored=1),
    ]
    assert lines(book, plain, logs(event, scope="spanhouse.audit")) == expected
    assert sum(each["duplicated"] for each in lines(book, plain, logs(event, scope="spanhouse.audit"))) == 2


def test_rows_that_follow_from_other_records_are_not_counted() -> None:
    two = Normaliser()([traces(span(number=1), span(number=2))])
    found, _ = Ledger().of_batch([replace(two, counts=Counts(spans=1))], [])
    assert found["received"].to_list() == [1]


def test_what_is_refused_or_set_aside_has_its_reason() -> None:
    lost = Rejected("default", "traces", "", ledger.SET_ASIDE, RECEIVED_US, 3)
    assert lines(Ledger(), traces(span()), rejected=(lost, lost)) == [
        line(received=1, stored=1),
        line(reason=ledger.SET_ASIDE, received=6, rejected=6),
    ]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store"))
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    for table in ("spans", "logs", "ledger"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened


class Weather:
    """The real store behind bad weather: away for some calls, or losing its answers."""

    def __init__(self, store: Store) -> None:
        self.store, self.away, self.deaf = store, False, False

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert as the weather allows."""
        if self.away:
            msg = "the store is away"
            raise StoreUnavailableError(msg)
        self.store.insert(table, rows, token)
        if self.deaf:
            msg = "the connection broke after the insert"
            raise StoreUnavailableError(msg)


def take(pipeline: Pipeline, record: RawRecord) -> None:
    """Bring a request through the door."""
    asyncio.run(Door(pipeline).take(record.signal, Encoding.PROTOBUF, "", record.body, Caller()))


def adds_up(store: Store) -> dict[str, Any]:
    """The totals, which must add up, minute by minute too."""
    totals = ledger_totals(store, LedgerFilter())
    minutes = ledger_minutes(store, LedgerFilter(), limit=1_000)
    for each in (totals, *minutes):
        gone = each["rejected"] + each["sampled_out"] + each["duplicated"]
        assert each["received"] == each["stored"] + gone
        assert each["late"] <= each["stored"]
        assert sum(each["reasons"].values()) == each["rejected"]
    assert {name: sum(each[name] for each in minutes) for name in LEDGER_COUNTS} == {
        name: totals[name] for name in LEDGER_COUNTS
    }
    return totals


def distinct(store: Store) -> int:
    return int(store.query("SELECT count() AS n FROM spans FINAL")["n"][0].as_py())


def test_an_outage_of_the_store_loses_nothing_and_the_ledger_adds_up(store: Store, tmp_path: Path) -> None:
    """Sent before, during and after the outage, with repeats and refusals: all there once it is over."""
    weather = Weather(store)
    pipeline = pipeline_of(weather, tmp_path)
    pipeline.start()
    try:
        for number in range(30):
            weather.away = 5 <= number < 25
            bad = [span(number=0)] if number % 3 == 0 else []
            take(pipeline, traces(span(number=number + 1), *bad))
            take(pipeline, traces(span(number=number + 1)))
        assert pipeline.drain(30)
    finally:
        pipeline.stop()
    totals = adds_up(store)
    assert (totals["received"], totals["stored"], totals["duplicated"]) == (70, 30, 30)
    assert totals["reasons"] == {"span id is all zero": 10}
    assert distinct(store) == 30


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32))
def test_the_sums_add_up_over_random_sends_and_restarts(opened: Store, tmp_path_factory: Any, seed: int) -> None:
    """Repeats, refusals, outages, lost answers and restarts that repeat batches: every record counts once."""
    for table in ("spans", "logs", "ledger"):
        opened.execute(f"TRUNCATE TABLE {table}")
    chance, directory, weather = random.Random(seed), tmp_path_factory.mktemp("journal"), Weather(opened)
    sent = refused = repeats = log_records = 0
    known: set[int] = set()
    for _ in range(chance.randint(1, 3)):
        pipeline = pipeline_of(weather, directory)
        pipeline.start()
        try:
            for _ in range(chance.randint(1, 25)):
                weather.away, weather.deaf = chance.random() < 0.2, chance.random() < 0.2
                numbers = [chance.randint(1, 60) for _ in range(chance.randint(0, 5))]
                bad = chance.choice([0, 0, 1, 2])
                spans = [span(number=number) for number in numbers]
                take(pipeline, traces(*spans, *[span(number=0) for _ in range(bad)]))
                take(pipeline, logs(*[LogRecord(time_unix_nano=START_NS + sent)] * (bad % 2)))
                sent, refused, log_records = sent + len(spans), refused + bad, log_records + bad % 2
                repeats += len(numbers) - len(set(numbers) - known)
                known.update(numbers)
            # A stop while answers are lost leaves batches that are in the store and not known to be.
            pipeline.drain(chance.choice([0, 0.2]))
        finally:
            weather.away, weather.deaf = False, chance.random() < 0.5
            pipeline.stop(drain_seconds=0)
    weather.away = weather.deaf = False
    pipeline = pipeline_of(weather, directory)
    pipeline.start()
    try:
        assert pipeline.drain(30)
    finally:
        pipeline.stop()
    totals = adds_up(opened)
    assert totals["received"] == sent + refused + log_records
    assert totals["rejected"] == refused
    assert distinct(opened) == len(known)
    # A restart forgets what came before it, so a repeat may count as stored; never the other way.
    stored = ledger_totals(opened, LedgerFilter(signal="traces"))["stored"]
    assert len(known) <= stored <= len(known) + repeats


def test_a_batch_stored_again_replaces_its_lines(store: Store) -> None:
    """However it fared the second time: here all of it was set aside."""
    first = lines_of(received=3, stored=3)
    second = pl.concat([lines_of(received=2, stored=2), lines_of(reason="set aside", stored=0, rejected=1)])
    store.insert("ledger", ledger.row(first, "batch", 1), "one")
    store.insert("ledger", ledger.row(second, "batch", 2), "two")
    assert adds_up(store) == {
        **dict.fromkeys(LEDGER_COUNTS, 0), "received": 3, "stored": 2, "rejected": 1, "reasons": {"set aside": 1}
    }  # fmt: skip


def test_a_window_is_whole_minutes_of_receipt(store: Store) -> None:
    """`since` takes the minute it falls into, `until` the one before it; tenants and signals are told apart."""
    for number in range(4):
        said = lines_of(minute=MINUTE + number, tenant=f"t{number % 2}")
        store.insert("ledger", ledger.row(said, f"batch{number}", 1), f"token{number}")
    since = datetime.fromtimestamp(MINUTE * 60 + 90, UTC)
    until = since + timedelta(minutes=1)
    wanted = LedgerFilter(since=since, until=until)
    assert [row["minute"] for row in ledger_minutes(store, wanted, limit=9)] == [(MINUTE + n) * 60 for n in (2, 1)]
    assert ledger_totals(store, LedgerFilter(since=since))["received"] == 3
    assert ledger_totals(store, LedgerFilter(until=until))["received"] == 3
    assert ledger_totals(store, LedgerFilter(tenant="t1"))["received"] == 2
    assert ledger_totals(store, LedgerFilter(signal="logs"))["received"] == 0
    assert len(ledger_minutes(store, LedgerFilter(), limit=1)) == 1


def lines_of(**said: Any) -> pl.DataFrame:
    """One line that says so much."""
    found, _ = Ledger().of_batch([Normaliser()([traces(span())])], [])
    return found.with_columns(*[pl.lit(value).cast(found.schema[name]).alias(name) for name, value in said.items()])
