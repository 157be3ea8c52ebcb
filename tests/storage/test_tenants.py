"""A store narrowed to some tenants shows nothing of the others, however it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import rows as made

from spanhouse_storage import StorageError, reads
from spanhouse_storage.contract import Store
from spanhouse_storage.migrations import migrate
from spanhouse_storage.opening import open_store
from spanhouse_storage.reads import AuditFilter, RunFilter
from spanhouse_storage.tables import SCHEMAS
from spanhouse_storage.tenants import TABLES, TenantStore

ODD = "o'b\\x\"}{:\n"
TENANTS = ("acme", "globex", ODD)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in which three tenants use the same ids."""
    opened = open_store(str(tmp_path_factory.mktemp("store") / "s"))
    migrate(opened)
    for table in TABLES:
        # What was decided long ago is past its time.
        common = {"run_id": "r", "trace_id": "t", "span_id": "s", "decided_at": datetime.now(UTC)}
        rows = [{"tenant": tenant, **common} for tenant in TENANTS]
        known = [{key: value for key, value in row.items() if key in SCHEMAS[table].names} for row in rows]
        opened.insert(table, made.rows(table, *known), f"token-{table}")
    yield opened
    opened.close()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("final", ["", "FINAL"])
@pytest.mark.parametrize("tenant", TENANTS)
def test_every_table_with_a_tenant_is_narrowed(store: Store, table: str, final: str, tenant: str) -> None:
    narrowed = TenantStore(store, [tenant])
    assert narrowed.query(f"SELECT tenant FROM {table} {final}").column("tenant").to_pylist() == [tenant]


@pytest.mark.parametrize("table", sorted(set(SCHEMAS) - set(TABLES)))
def test_a_table_of_the_server_shows_nothing(store: Store, table: str) -> None:
    store.insert(table, made.rows(table, {}), "token")
    assert store.query(f"SELECT 1 FROM {table}").num_rows == 1
    assert TenantStore(store, TENANTS).query(f"SELECT 1 FROM {table}").num_rows == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count() AS n FROM (SELECT tenant FROM spans UNION ALL SELECT tenant FROM spans) WHERE tenant != 'acme'",
        "WITH other AS (SELECT * FROM runs) SELECT count() AS n FROM other WHERE tenant != 'acme'",
        "SELECT count() - 1 AS n FROM runs AS x FINAL WHERE run_id IN (SELECT run_id FROM runs FINAL)",
        "SELECT count() - 1 AS n FROM runs AS a JOIN spans AS b ON a.trace_id = b.trace_id",
        "SELECT count() AS n FROM spanhouse.spans WHERE tenant = 'globex'",
        "SELECT length(groupUniqArray(tenant)) - 1 AS n FROM runs SETTINGS join_use_nulls = 1",
    ],
)
def test_no_shape_of_a_statement_reaches_past_it(store: Store, statement: str) -> None:
    assert TenantStore(store, ["acme"]).query(statement).column("n").to_pylist() == [0]


def test_the_next_reader_of_the_same_connection_sees_all(store: Store) -> None:
    for _ in range(8):
        TenantStore(store, ["acme"]).query("SELECT 1 FROM runs")
        assert store.query("SELECT count() AS n FROM runs").column("n").to_pylist() == [3]


def test_reads_by_id_follow_the_reader_not_the_id(store: Store) -> None:
    """Ids that two tenants share give each its own run."""
    for tenant in TENANTS:
        narrowed = TenantStore(store, [tenant])
        assert reads.run_by_id(narrowed, "r").column("tenant").to_pylist() == [tenant]
        assert reads.find_traces(narrowed, "t").column("tenant").to_pylist() == [tenant]
        assert set(reads.facets(narrowed)["tenant"]) == {tenant}


def test_a_filter_for_another_tenant_gives_nothing(store: Store) -> None:
    narrowed = TenantStore(store, ["acme"])
    assert reads.list_runs(narrowed, RunFilter(tenant="globex", type="agent")).rows.num_rows == 0
    assert reads.audit_events(narrowed, AuditFilter(tenant=("globex", ODD))).rows.num_rows == 0


def test_no_tenants_are_no_rows(store: Store) -> None:
    assert TenantStore(store, []).query("SELECT 1 FROM runs").num_rows == 0


@given(tenant=st.text(max_size=20))
def test_a_tenants_name_is_a_value_whatever_is_in_it(store: Store, tenant: str) -> None:
    found = TenantStore(store, [tenant]).query("SELECT tenant FROM runs").column("tenant").to_pylist()
    assert found == ([tenant] if tenant in TENANTS else [])


def test_nothing_is_written_through_it(store: Store, tmp_path: Path) -> None:
    narrowed = TenantStore(store, ["acme"])
    with pytest.raises(StorageError, match="it is for reading"):
        narrowed.insert("runs", made.rows("runs", made.run("r2")), "t")
    with pytest.raises(StorageError, match="it is for reading"):
        narrowed.execute("DROP TABLE runs")
    narrowed.close()
    assert narrowed.info == store.info
    assert store.query("SELECT count() AS n FROM runs").column("n").to_pylist() == [3]
