"""The locked session of `Store.read_only`, on every kind of store: it reads, and neither writes nor unlocks itself."""

from __future__ import annotations

import json

import pytest
from tests.support.rows import rows, run

from spanhouse_storage import QueryError, Store
from spanhouse_storage.tenants import TenantStore


def test_rows_come_in_the_format_asked_for(store: Store) -> None:
    store.insert("runs", rows("runs", run("r1"), run("r2")), "one")
    answer = store.read_only("SELECT run_id FROM runs ORDER BY run_id", "JSONCompact")
    assert json.loads(answer.body)["data"] == [["r1"], ["r2"]]
    assert store.read_only("SELECT {a:String}", "CSV", {"a": "x'y"}).body == b'"x\'y"\n'


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE runs",
        "INSERT INTO runs (tenant) VALUES ('x')",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS additional_table_filters = {'runs': '1'}",
        "SELECT 1 SETTINGS max_execution_time = 1000",
        "CREATE TEMPORARY TABLE t (a UInt8)",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    ],
)
def test_it_can_be_neither_written_through_nor_unlocked(store: Store, sql: str) -> None:
    with pytest.raises(QueryError):
        store.read_only(sql, "CSV", None, {"max_execution_time": "5"})


def test_its_settings_hold_and_leave_nothing_behind(store: Store) -> None:
    with pytest.raises(QueryError) as stopped:
        store.read_only("SELECT number FROM numbers(100)", "CSV", None, {"max_result_rows": "10"})
    assert stopped.value.code == 396
    assert store.read_only("SELECT count() FROM numbers(100)", "CSV").body == b"100\n"
    assert store.query("SELECT count() AS n FROM numbers(100)").to_pylist() == [{"n": 100}]


def test_it_is_narrowed_to_tenants_as_queries_are(store: Store) -> None:
    store.insert("runs", rows("runs", run("r1", tenant="acme"), run("r2", tenant="beta")), "one")
    narrowed = TenantStore(store, ["beta"])
    assert narrowed.read_only("SELECT tenant, run_id FROM runs", "TabSeparated").body == b"beta\tr2\n"
    assert TenantStore(store, []).read_only("SELECT run_id FROM runs", "TabSeparated").body == b""
