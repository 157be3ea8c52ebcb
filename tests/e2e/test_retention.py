"""Retention in the real process: what is past its time goes by itself, is written down, and nothing else goes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.deletable import body
from tests.support.process import ServerProcess

from spanhouse_storage import open_store
from spanhouse_storage.state import get_watermark, open_state

DAY = 86_400
POLICY = """version: 1
tenants:
  acme:
    retention: {content: 10d, spans: 30d, runs: 60d}
"""
RECENT, PAST_CONTENT, PAST_SPANS, PAST_RUNS = (1, 0), (2, 20), (3, 45), (4, 90)
"""Number of a run and how many days ago it was."""
LEFT = "SELECT tenant, count() AS rows, countIf(output = '') AS silent FROM spans FINAL GROUP BY tenant ORDER BY tenant"
HEADERS = {"content-type": "application/x-protobuf"}


def removals(server: ServerProcess) -> list[dict[str, Any]]:
    """Return what the events of the tenant's trail say was removed, by table."""
    events = server.get("/api/v1/audit", name="deletion")["events"]
    return [each for event in events if event["tenant"] == "acme" for each in event["data"]["tables"]]


def query(data: Path, sql: str) -> list[dict[str, Any]]:
    """Return rows of the store that nobody has open, past everything that hides rows from readers."""
    store = open_store(data / "store")
    try:
        rows: list[dict[str, Any]] = store.query(sql).to_pylist()
    finally:
        store.close()
    return rows


@pytest.mark.e2e
def test_a_tenants_rows_go_when_their_time_is_past_and_others_stay(tmp_path: Path) -> None:
    """Rows are off the tables, the marks and a row and an event for each removal are there."""
    data = tmp_path / "server"
    now = time.time()
    with ServerProcess(data, grpc="") as server:
        for number, days in (RECENT, PAST_CONTENT, PAST_SPANS, PAST_RUNS):
            mine = body(number, "ada", at=now - days * DAY)
            others = body(number + 10, "bob", at=now - days * DAY).replace(b"acme", b"corp")
            for each in (mine, others):
                assert httpx.post(f"{server.url}/v1/traces", content=each, headers=HEADERS).is_success
        server.drain()
        assert len(server.get("/api/v1/runs", type="agent")["runs"]) == 8
        (data / "policy.yaml").write_text(POLICY)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = {(each["table"], each["what"]): each["rows"] for each in removals(server)}
            if {("spans", "rows"), ("runs", "rows"), ("spans", "content")} <= told.keys():
                break
            time.sleep(0.2)
        assert sorted(run["tenant"] for run in server.get("/api/v1/runs", type="agent")["runs"]) == [
            *["acme"] * 3,
            *["corp"] * 4,
        ]
    assert query(data, LEFT) == [
        {"tenant": "acme", "rows": 4, "silent": 2},
        {"tenant": "corp", "rows": 8, "silent": 0},
    ]
    proved = query(data, "SELECT tenant, table_name, what, policy, sum(rows) AS rows FROM deletions FINAL GROUP BY ALL")
    assert {row["tenant"] for row in proved} == {"acme"}
    by_what = {(row["table_name"], row["what"]): row for row in proved}
    assert (by_what["spans", "rows"]["rows"], by_what["spans", "rows"]["policy"]) == (4, "spans: 30d")
    assert (by_what["runs", "rows"]["rows"], by_what["runs", "rows"]["policy"]) == (1, "runs: 60d")
    assert by_what["spans", "content"]["policy"] == "content: 10d"
    state = open_state(str(data / "state.db"))
    marks = get_watermark(state, "retention")
    state.dispose()
    assert marks is not None
    assert list(json.loads(marks)["removed"]) == ["acme"]
