"""Idempotency: of many callers one runs, repeats get the record, and what is unknown is never run again."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanhouse_runtime.idempotency import IdempotencyStore, MemoryIdempotencyStore, Prior, idempotency_key
from spanhouse_runtime.idempotency_sqlite import SqliteIdempotencyStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IdempotencyStore]:
    if request.param == "memory":
        yield MemoryIdempotencyStore()
        return
    made = SqliteIdempotencyStore(tmp_path / "calls.sqlite")
    yield made
    made.close()


def test_a_finished_call_is_replayed(store: IdempotencyStore) -> None:
    assert store.begin("k", "charge", "h").prior is Prior.NEW
    store.finish("k", '{"id": 1}')
    again = store.begin("k", "charge", "h")
    assert (again.prior, again.result) == (Prior.DONE, '{"id": 1}')


def test_an_intent_without_outcome_is_unknown_and_stays_so(store: IdempotencyStore) -> None:
    store.begin("k", "charge", "h")
    assert [store.begin("k", "charge", "h").prior for _ in range(3)] == [Prior.UNKNOWN] * 3


def test_a_withdrawn_intent_may_begin_again_but_an_outcome_cannot_be_withdrawn(store: IdempotencyStore) -> None:
    store.begin("k", "charge", "h")
    store.withdraw("k")
    assert store.begin("k", "charge", "h").prior is Prior.NEW
    store.finish("k", "1")
    store.withdraw("k")
    assert store.begin("k", "charge", "h").prior is Prior.DONE


def test_one_key_with_other_arguments_is_a_conflict(store: IdempotencyStore) -> None:
    store.begin("k", "charge", "ten dollars")
    store.finish("k", "1")
    assert store.begin("k", "charge", "twenty dollars").prior is Prior.CONFLICT


def test_of_callers_at_once_exactly_one_is_new(store: IdempotencyStore) -> None:
    start = threading.Barrier(8)
    seen: list[Prior] = []

    def begin() -> None:
        start.wait()
        seen.append(store.begin("k", "charge", "h").prior)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [Prior.NEW] + [Prior.UNKNOWN] * 7


DYING = """
import os, signal, sys
from pathlib import Path
from spanhouse_runtime.idempotency_sqlite import SqliteIdempotencyStore
SqliteIdempotencyStore(Path(sys.argv[1])).begin("k", "charge", "h")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_intent_of_a_killed_process_is_found_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    died = subprocess.run([sys.executable, "-c", DYING, str(path)], check=False)
    assert died.returncode == -signal.SIGKILL
    store = SqliteIdempotencyStore(path)
    assert store.begin("k", "charge", "h").prior is Prior.UNKNOWN
    store.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    SqliteIdempotencyStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_key_depends_on_scope_tool_and_arguments_whatever_their_order() -> None:
    key = idempotency_key("run", "charge", {"a": 1, "b": 2})
    assert key == idempotency_key("run", "charge", {"b": 2.0, "a": 1})
    others = [
        idempotency_key("run2", "charge", {"a": 1, "b": 2}),
        idempotency_key("run", "refund", {"a": 1, "b": 2}),
        idempotency_key("run", "charge", {"a": 1, "b": 3}),
        idempotency_key("run", "charge", {"a": 1, "b": 2}, "order-1"),
    ]
    assert len({key, *others}) == 5


def test_an_explicit_key_stands_for_the_arguments() -> None:
    assert idempotency_key("run", "charge", {"note": "a"}, "o-1") == idempotency_key("run", "charge", {}, "o-1")
