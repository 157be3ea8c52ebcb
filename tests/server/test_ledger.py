"""The ledger, readiness, the server's own state and reprocessing, on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.export_requests import trace_id, traces
from tests.support.served import Served, problem, serving

from spanhouse_collector.ledger import UNACCOUNTED, Rejected, of_rejected, row
from spanhouse_collector.normalise import Normaliser
from spanhouse_storage import Store, StoreUnavailableError

TRACES = {"content-type": "application/x-protobuf"}


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("ledger") / "data") as running:
        yield running


def send(served: Served, request: ExportTraceServiceRequest, status: int = 200) -> None:
    answer = served.http.post("/v1/traces", content=request.SerializeToString(), headers=TRACES)
    assert answer.status_code == status, answer.text


def bad(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The request with a span more, of which the id is all zero."""
    request.resource_spans[0].scope_spans[0].spans.add(trace_id=trace_id(7), span_id=bytes(8))
    return request


def totals(served: Served, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/api/v1/ledger", **query)["totals"]
    return found


def refused_by(served: Served, count: int) -> dict[str, Any]:
    """The totals once so many refusals are written, which happens once a second."""
    deadline = time.monotonic() + 30
    while (found := totals(served))["rejected"] < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_the_ledger_says_of_every_record_what_became_of_it(served: Served) -> None:
    """Totals, minutes, filters, and the counters for Prometheus, which say the same."""
    send(served, bad(traces(1, 3)))
    send(served, traces(1, 3))
    served.drain()
    found = refused_by(served, 1)
    assert found == {
        "received": 7,
        "stored": 3,
        "rejected": 1,
        "sampled_out": 0,
        # They began in 2025.
        "late": 3,
        "duplicated": 3,
        "pending": 0,
        "reasons": {"span id is all zero": 1},
    }
    whole = served.get("/api/v1/ledger")
    assert whole["truncated"] is False
    for name in ("received", "stored", "rejected", "late", "duplicated"):
        assert sum(line[name] for line in whole["minutes"]) == found[name]
    assert {(line["tenant"], line["signal"], line["source"]) for line in whole["minutes"]} == {
        ("default", "traces", None)
    }
    assert totals(served, tenant="nobody") | {"reasons": {}} == dict.fromkeys(found, 0) | {
        "pending": None,
        "reasons": {},
    }
    assert totals(served, until="1h")["received"] == 0
    assert served.get("/api/v1/ledger", limit=1)["truncated"] is (len(whole["minutes"]) > 1)
    counters = served.http.get("/metrics").text
    assert 'spanhouse_collector_ledger_total{outcome="received",signal="traces"} 7.0' in counters
    assert 'spanhouse_collector_ledger_total{outcome="duplicated",signal="traces"} 3.0' in counters


def test_what_waits_is_pending_and_the_sum_holds_meanwhile(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is away: nothing is lost, readiness says so after the grace, and all is stored in the end."""
    insert = served.parts.store.insert
    away = [True]

    def unreliable(table: str, rows: pa.Table, token: str) -> None:
        if away[0]:
            msg = "the store is away"
            raise StoreUnavailableError(msg)
        insert(table, rows, token)

    monkeypatch.setattr(served.parts.store, "insert", unreliable)
    send(served, traces(1, 3))
    found = totals(served)
    assert (found["received"], found["stored"], found["pending"]) == (3, 0, 3)
    away[0] = False
    served.drain()
    found = totals(served)
    assert (found["received"], found["stored"], found["pending"]) == (3, 3, 0)


def test_readiness_gives_a_store_that_is_away_its_grace_and_then_says_why(tmp_path: Any) -> None:
    with serving(tmp_path / "data", ready_grace=0.05) as served:
        assert served.get("/readyz")["status"] == "ok"
        parts = served.parts
        asked: Store = _Away(parts.store)
        parts.readiness._store = asked
        assert served.http.get("/readyz").json()["store_error"] == "the store is away"
        time.sleep(0.1)
        answer = served.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "not ready"
        assert "the store is away" in answer.json()["reasons"][0]
        assert served.http.get("/healthz").status_code == 200
        parts.readiness._store = parts.store
        assert served.get("/readyz")["reasons"] == []


def test_readiness_says_when_the_journal_is_full(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From when senders are told to come back, and until the store has caught up."""
    with serving(tmp_path / "data", journal_limit=20_000) as served:
        monkeypatch.setattr(served.parts.store, "insert", _Away(served.parts.store).insert)
        body = traces(1).SerializeToString()
        while served.http.post("/v1/traces", content=body, headers=TRACES).status_code == 200:
            pass
        answer = served.http.get("/readyz")
        assert answer.status_code == 503
        assert "journal" in answer.json()["reasons"][0]


class _Away:
    """A store that answers nothing."""

    def __init__(self, store: Store) -> None:
        self.info = store.info

    def fail(self, *_: Any, **__: Any) -> Any:
        """Raise what a store that is away does."""
        msg = "the store is away"
        raise StoreUnavailableError(msg)

    query = insert = execute = read_only = close = fail


def test_the_servers_own_state_names_what_is_wrong(served: Served) -> None:
    """A record nobody accounts for is a gap, a column that is missing is drift, a dead letter has its reason."""
    send(served, traces(1, 2))
    served.drain()
    state = served.get("/api/v1/system")
    assert state["status"] == "ok"
    assert state["schema"]["drift"] == []
    assert state["ledger"]["gaps"] == []
    assert state["ledger"]["day"]["stored"] == 2
    assert {each["table"] for each in state["store"]["tables"]} >= {"spans", "ledger"}
    assert state["dead_letters"]["letters"] == 0
    now_us = int(time.time() * 1e6)
    lost = Rejected("", "", "", UNACCOUNTED, now_us, 5, explained=False)
    served.parts.store.insert("ledger", row(of_rejected([lost]), "gap", 1), "gap")
    served.parts.store.execute("ALTER TABLE logs ADD COLUMN foreign_thing String")
    letters = served.data / "journal" / "dead-letters"
    letters.mkdir(parents=True)
    (letters / "1.json").write_text('{"reason": "Traceback\\nValueError: odd", "items": 3}')
    state = served.get("/api/v1/system")
    assert [gap["missing"] for gap in state["ledger"]["gaps"]] == [5]
    assert state["schema"]["drift"] == [
        "column logs.foreign_thing is unknown: ALTER TABLE logs DROP COLUMN foreign_thing, if no newer release made it"
    ]
    assert state["dead_letters"]["reasons"] == {"ValueError: odd": 3}


def reprocessed(served: Served, **wanted: Any) -> dict[str, Any]:
    """A job's end."""
    client = served.client
    job = client.reprocess(**wanted)
    deadline = time.monotonic() + 60
    while job["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
        found = client.reprocessing()
        assert found is not None
        job = found
    return job


def test_reprocessing_reads_stored_spans_by_the_mapping_as_it_is_now(served: Served) -> None:
    """Spans that come out otherwise are replaced, their run is computed anew, and doing it again changes nothing."""
    send(served, traces(1, 3, attributes={"gen_ai.agent.name": "right"}))
    served.drain()
    run_id = served.get("/api/v1/runs")["runs"][0]["run_id"]
    # As an older release might have read it.
    rows = served.parts.store.query(
        "SELECT * EXCEPT (bucket), toInt64(toUnixTimestamp(bucket)) AS bucket FROM spans FINAL"
    )
    names = rows.column_names
    misread = rows.set_column(names.index("agent"), "agent", pa.array(["wrong"] * rows.num_rows))
    later = pa.array([version + (1 << 8) for version in rows["version"].to_pylist()], pa.uint64())
    served.parts.store.insert("spans", misread.set_column(names.index("version"), "version", later), "misread")

    job = reprocessed(served, since="3650d")
    assert (job["state"], job["spans"], job["done"], job["changed"]) == ("done", 3, 3, 3)
    agents = served.parts.store.query("SELECT DISTINCT agent FROM spans FINAL")["agent"].to_pylist()
    assert agents == ["right"]
    served.drain()
    run = served.get(f"/api/v1/runs/{run_id}")
    assert (run["agent"], run["spans_stored"]) == ("right", 3)
    assert totals(served)["received"] == 3
    job = reprocessed(served, since="3650d")
    assert (job["done"], job["changed"]) == (3, 0)


def test_reprocessing_takes_batches_and_windows(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanhouse_storage.reads.sweep.BATCH_SPANS", 2)
    for number in range(3):
        send(served, traces(number, 3))
    served.drain()
    assert reprocessed(served, since="3650d")["done"] == 9
    assert reprocessed(served, since="1h")["spans"] == 0
    assert reprocessed(served, since="3650d", until="3649d")["spans"] == 0
    assert reprocessed(served, since="3650d", tenant="nobody")["spans"] == 0


def test_reprocessing_is_for_operators_and_one_job_at_a_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.get("/api/v1/reprocess") == {"job": None}
    problem(httpx.post(f"{served.url}/api/v1/reprocess", json={"since": "1h"}), 401)
    job = served.parts.reprocessing
    held = replace(_running(served), state="running")
    monkeypatch.setattr(job, "_job", held)
    answer = httpx.post(
        f"{served.url}/api/v1/reprocess",
        json={"since": "1h"},
        headers={"authorization": f"Bearer {served.parts.operator_token}"},
    )
    assert held.id in problem(answer, 409)["detail"]


def _running(served: Served) -> Any:
    reprocessed(served, since="1h")
    return served.parts.reprocessing.job()


def test_a_job_that_fails_says_why(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    send(served, traces(1))
    served.drain()

    def broken() -> Normaliser:
        msg = "no normaliser today"
        raise ValueError(msg)

    monkeypatch.setattr(served.parts.reprocessing, "_normaliser", broken)
    job = reprocessed(served, since="3650d")
    assert (job["state"], job["error"]) == ("failed", "no normaliser today")
