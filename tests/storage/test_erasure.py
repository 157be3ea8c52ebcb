"""What is stored of a person can be found, counted and removed from every table, down to the bytes on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.erasable import MINE, THEIRS, fill
from tests.support.rows import rows, span

from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.erasure import Keys, Subject, counts, erase, find, others
from spanhouse_storage.screen import ERASED_BODY
from spanhouse_storage.tables import SCHEMAS

SUBJECT = Subject("user", MINE, "acme")


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "s")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def filled(module_store: Store) -> Store:
    for table in SCHEMAS:
        module_store.execute(f"TRUNCATE TABLE {table}")
    fill(module_store)
    return module_store


def test_everything_of_a_user_is_found_counted_and_removed_and_nothing_of_another(filled: Store) -> None:
    keys = find(filled, SUBJECT)
    assert counts(filled, SUBJECT, keys) == {
        "spans": 2,
        "messages": 1,
        "logs": 2,
        "scores": 2,
        "runs": 1,
        "steps": 1,
        "audit_events": 2,
        "metric_points": 1,
        "metric_points.exemplars": 1,
    }
    erase(filled, SUBJECT, keys)
    assert counts(filled, SUBJECT, keys) == {}
    assert not find(filled, SUBJECT).traces
    left = {table: filled.query(f"SELECT count() AS n FROM {table}").column("n")[0].as_py() for table in SCHEMAS}
    assert left == {
        **dict.fromkeys(SCHEMAS, 0),
        "spans": 2,
        "messages": 1,
        "logs": 2,
        "scores": 2,
        "runs": 1,
        "steps": 1,
        # Events and points that lose a text stay: the trail's order and the figures are not the person's.
        "audit_events": 4,
        "metric_points": 3,
    }


def test_audit_events_keep_their_place_and_lose_their_body(filled: Store) -> None:
    erase(filled, SUBJECT, find(filled, SUBJECT))
    events = filled.query("SELECT stream, seq, data FROM audit_events ORDER BY stream, seq").to_pylist()
    bodies = {(event["stream"], event["seq"]): event["data"] for event in events}
    assert (bodies["r-t1", 1], bodies["control", 0]) == (ERASED_BODY, ERASED_BODY)
    assert json.loads(bodies["r-t2", 1]) == {"said": "something else"}
    assert json.loads(bodies["control", 1])["target"] == THEIRS


@pytest.mark.parametrize(
    "subject",
    [Subject("request", "q-t1", "acme"), Subject("run", "r-t1", "acme")],
    ids=["request", "run"],
)
def test_a_request_or_a_run_goes_with_its_trace(filled: Store, subject: Subject) -> None:
    keys = find(filled, subject)
    assert (keys.traces, keys.runs) == (("t1",), ("r-t1",))
    erase(filled, subject, keys)
    assert filled.query("SELECT DISTINCT trace_id FROM spans").column("trace_id").to_pylist() == ["t2"]


def test_a_session_takes_all_its_traces(filled: Store) -> None:
    assert sorted(find(filled, Subject("session", "s", "acme")).traces) == ["t1", "t2"]


def test_another_tenants_user_of_the_same_name_stays(filled: Store) -> None:
    assert not find(filled, Subject("user", MINE, "globex"))


def test_records_without_a_trace_are_not_taken_for_one(filled: Store) -> None:
    """An empty trace id is no trace that all lone log records share."""
    keys = find(filled, SUBJECT)
    assert "" not in keys.traces
    assert keys.logs == ("lone-t1",)


def test_who_else_stands_in_a_shared_trace_is_told(filled: Store) -> None:
    filled.insert("spans", rows("spans", span("t1", "other", user_id="eve@example.org")), "shared")
    assert others(filled, SUBJECT, find(filled, SUBJECT)) == {"users": 1}


def test_keys_survive_their_text(filled: Store) -> None:
    keys = find(filled, SUBJECT)
    assert Keys.of_text(keys.as_text()) == keys
