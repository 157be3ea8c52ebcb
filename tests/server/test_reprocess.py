"""A mapping is mended, what is stored is reprocessed, and every row says what a fresh ingest would say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.support.mapping import adopt
from tests.support.recordings import RECORDINGS, Recording, records

from spanhouse_collector import conventions
from spanhouse_collector.conventions.agent_log import LogEvent, Reading
from spanhouse_collector.conventions.convention import Convention
from spanhouse_collector.normalise import Normaliser
from spanhouse_server.reprocess import Job, Reprocessing
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.reads import SpanWindow

RECEIVED_US = 1_780_000_100_000_000
ALL_TIME = SpanWindow(since=datetime(1970, 1, 1, tzinfo=UTC))
IDS = ("tenant", "trace_id", "span_id", "record_id", "score_id", "stream", "seq")
ANEW = {"version", "received_at"}
TABLES = ("spans", "logs", "messages", "scores", "audit_events")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "store")
    migrate(found)
    yield found
    found.close()


def tables_of(recording: Recording) -> dict[str, pa.Table]:
    """Return what a recording gives on arrival, by the mappings of the moment."""
    return Normaliser()(list(records(recording, RECEIVED_US))).tables


def keep(store: Store, recording: Recording) -> None:
    for name, rows in tables_of(recording).items():
        if rows.num_rows:
            store.insert(name, rows, f"{recording.name}:{name}")


def rows(store: Store, name: str) -> list[str]:
    """Return every row of a table as it stands, as text, without what says when it was written."""
    return plain(store.query(f"SELECT * FROM {name} FINAL"))


def plain(found: pa.Table) -> list[str]:
    for number, column in enumerate(found.schema):
        if pa.types.is_timestamp(column.type) or column.name == "bucket":
            found = found.set_column(number, column.name, found.column(number).cast(pa.int64()))
    out = [{key: meant(value) for key, value in row.items() if key not in ANEW} for row in found.to_pylist()]
    out.sort(key=lambda row: [str(row.get(key)) for key in IDS])
    return [json.dumps(row, sort_keys=True, default=str) for row in out]


def same(found: list[str], wanted: list[str]) -> list[tuple[str, Any, Any]]:
    """Return where rows differ."""
    assert len(found) == len(wanted)
    pairs = [(json.loads(one), json.loads(other)) for one, other in zip(found, wanted, strict=True)]
    return [(key, one[key], other[key]) for one, other in pairs for key in one if one[key] != other[key]]


def meant(value: Any) -> Any:
    """Return what a JSON text says: the order of its members is no part of that."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in {"[", "{"} else value
    except ValueError:
        return value


def finished(jobs: Reprocessing) -> Job:
    """Start a job over all there is, and return it at its end."""
    jobs.start(ALL_TIME)
    deadline = time.monotonic() + 120
    while (job := jobs.job()) is not None and job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job is not None
    assert (job.state, job.error) == ("done", "")
    assert (job.done, job.logs_done) == (job.spans, job.logs)
    return job


KEPT = {"tenant", "pending"}
"""What a row keeps whatever the mapping says: whose it is, and whether its span has ended."""


def _forgetful(convention: Convention) -> Convention:
    sources = tuple(each for each in convention.sources if each.column in KEPT)
    return replace(convention, sources=sources, messages=None, message_prefixes=())


def _figureless(read: Any) -> Any:
    def misread(event: LogEvent) -> Reading:
        found: Reading = read(event)
        return replace(found, user="", call=found.call and replace(found.call, columns={}), answer="")

    return misread


def test_every_recording_reads_after_it_as_if_it_came_today(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of spans the broken mapping knows what they are and nothing of what they say; of log records, no figures."""
    good, good_logs = conventions.CONVENTIONS, conventions.LOG_CONVENTIONS
    adopt(monkeypatch, [_forgetful(each) for each in good])
    monkeypatch.setattr(
        conventions, "LOG_CONVENTIONS", tuple(replace(each, read=_figureless(each.read)) for each in good_logs)
    )
    for recording in RECORDINGS:
        keep(store, recording)
    broken = rows(store, "spans")
    adopt(monkeypatch, good)
    monkeypatch.setattr(conventions, "LOG_CONVENTIONS", good_logs)

    touched: list[pa.Table] = []
    jobs = Reprocessing(store, touched.append)
    first = finished(jobs)
    assert first.changed > len(RECORDINGS)
    assert first.logs > 0
    mended = {name: rows(store, name) for name in TABLES}
    assert mended["spans"] != broken
    again = finished(jobs)
    assert again.changed == 0
    assert {name: rows(store, name) for name in TABLES} == mended

    for name in TABLES:
        store.execute(f"TRUNCATE TABLE {name}")
    for recording in RECORDINGS:
        for table, found in tables_of(recording).items():
            if found.num_rows:
                store.insert(table, found, f"fresh:{recording.name}:{table}")
    for name in TABLES:
        assert same(mended[name], rows(store, name)) == []
    traces = {row["trace_id"] for part in touched for row in part.to_pylist()}
    assert traces >= set(store.query("SELECT DISTINCT trace_id FROM spans FINAL").column(0).to_pylist())
