"""kill -9 in the middle of ingest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import httpx
import pytest
from tests.support.collector_server import pipeline_of, running
from tests.support.export_requests import span_id, traces

from spanhouse_storage import migrate, open_store
from spanhouse_storage.reads import LedgerFilter, ledger_totals

ROOT = Path(__file__).parents[2]
SPANS = 3
ROUNDS = 3
ACKNOWLEDGED_A_ROUND = 40


class Senders:
    """Threads that send one trace a request, note what was acknowledged, and send again what was not."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.sent_again: set[int] = set()
        self._unsure: deque[int] = deque()
        self._next = 0
        self._lock = threading.Lock()

    def until(self, port: int, acknowledged: int) -> list[threading.Thread]:
        """Send from four threads until so many more are acknowledged; the threads end when the server does."""
        self.enough = threading.Event()
        self._goal = len(self.acknowledged) + acknowledged
        threads = [threading.Thread(target=self._send, args=(port,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        return threads

    def _send(self, port: int) -> None:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"content-type": "application/x-protobuf"}
        ) as to:
            while True:
                trace = self._take()
                try:
                    answer = to.post("/v1/traces", content=traces(trace, SPANS).SerializeToString())
                except httpx.TransportError:
                    with self._lock:
                        self._unsure.append(trace)
                    return
                assert answer.status_code == 200
                with self._lock:
                    self.acknowledged.add(trace)
                    if len(self.acknowledged) >= self._goal:
                        self.enough.set()

    def _take(self) -> int:
        with self._lock:
            if self._unsure:
                trace = self._unsure.popleft()
                self.sent_again.add(trace)
                return trace
            self._next += 1
            return self._next


@pytest.mark.e2e
def test_what_was_acknowledged_before_a_kill_is_stored_exactly_once_after_it(tmp_path: Path) -> None:
    senders = Senders()
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.collector_process", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout
        try:
            threads = senders.until(int(process.stdout.readline()), ACKNOWLEDGED_A_ROUND)
            assert senders.enough.wait(60)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        for thread in threads:
            thread.join()

    store = open_store(tmp_path / "store")
    try:
        migrate(store)
        with running(pipeline_of(store, tmp_path / "journal")) as pipeline:
            assert pipeline.drain(60)
            assert pipeline.metrics.registry.get_sample_value("spanhouse_collector_journal_damaged_records_total") == 0
        raw = store.query("SELECT span_id FROM spans").column("span_id").to_pylist()
        final = store.query("SELECT span_id FROM spans FINAL").column("span_id").to_pylist()
        counted = ledger_totals(store, LedgerFilter())
    finally:
        store.close()

    expected = {span_id(trace, n).hex() for trace in senders.acknowledged for n in range(SPANS)}
    assert len(senders.acknowledged) >= ROUNDS * ACKNOWLEDGED_A_ROUND
    assert expected <= set(final)
    assert len(final) == len(set(final))
    # What no sender repeated must not even be there twice before the store merges.
    repeated = {span_id(trace, n).hex() for trace in senders.sent_again for n in range(SPANS)}
    once = [span for span in raw if span not in repeated]
    assert len(once) == len(set(once))
    # A batch that was stored again counts once; a span that was sent again may count as stored after each restart.
    assert counted["received"] == counted["stored"] + counted["duplicated"]
    assert len(final) <= counted["stored"] <= counted["received"] <= len(final) + ROUNDS * len(repeated)
