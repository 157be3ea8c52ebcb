"""The schema on a cluster: every statement becomes what ClickHouse parses, and versions of a row never part."""

from __future__ import annotations

import re
from collections.abc import Iterator

import chdb
import pytest
import sqlglot
from chdb.state.sqlitelike import Connection

from spanhouse.errors import ConfigurationError
from spanhouse_storage import open_store
from spanhouse_storage.cluster import LOCAL, SHARD_KEYS, statements
from spanhouse_storage.migrations import migrations
from spanhouse_storage.migrations import statements as split
from spanhouse_storage.tables import SCHEMAS

MIGRATED = [(migration.name, statement) for migration in migrations() for statement in split(migration.sql)]


@pytest.fixture(scope="module")
def parser() -> Iterator[Connection]:
    handle = chdb.connect(":memory:")
    yield handle
    handle.close()


@pytest.mark.parametrize(("name", "statement"), MIGRATED, ids=[f"{n}-{i}" for i, (n, _) in enumerate(MIGRATED)])
def test_every_migration_is_parsed_by_the_engine_and_names_the_cluster(
    parser: Connection, name: str, statement: str
) -> None:
    for written in statements(statement, "main", "spanhouse"):
        parser.query(f"EXPLAIN AST {written}")
        assert " ON CLUSTER main" in written
        assert "non_replicated" not in written


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_table_is_replicated_and_has_one_over_the_shards(table: str) -> None:
    made = [
        written
        for _, statement in MIGRATED
        if re.search(rf"CREATE TABLE IF NOT EXISTS {table}\s", statement)
        for written in statements(statement, "main", "spanhouse")
    ]
    local, over = made
    assert f"TABLE IF NOT EXISTS {table}{LOCAL} ON CLUSTER main" in local
    assert (
        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version"
        in local
    )
    assert f"ENGINE = Distributed('main', 'spanhouse', '{table}{LOCAL}', " in over
    assert sqlglot.parse_one(over, dialect="clickhouse")


@pytest.mark.parametrize("table", sorted(set(SHARD_KEYS) - {"schema_migrations"}))
def test_a_rows_shard_follows_from_its_identity(table: str) -> None:
    """Versions of a row on two shards would both be read, and counted twice."""
    key = SHARD_KEYS[table]
    created = next(
        statement for _, statement in MIGRATED if re.search(rf"CREATE TABLE IF NOT EXISTS {table}\s", statement)
    )
    identity = created.partition("ORDER BY")[2].partition("SETTINGS")[0]
    named = set(re.findall(r"[a-z_]+", key)) & set(SCHEMAS[table].names)
    # The trace of a log record is part of what its id is a hash of.
    assert named - {"trace_id" if table == "logs" else ""} <= set(re.findall(r"[a-z_]+", identity))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "ALTER TABLE spans DELETE WHERE 1 SETTINGS mutations_sync = 2",
            ["ALTER TABLE spans_local ON CLUSTER main DELETE WHERE 1 SETTINGS mutations_sync = 2"],
        ),
        (
            "ALTER TABLE runs DROP PARTITION ID '20260302'",
            ["ALTER TABLE runs_local ON CLUSTER main DROP PARTITION ID '20260302'"],
        ),
        ("OPTIMIZE TABLE spans FINAL", ["OPTIMIZE TABLE spans_local ON CLUSTER main FINAL"]),
        ("TRUNCATE TABLE spans", ["TRUNCATE TABLE spans_local ON CLUSTER main"]),
        (
            "DELETE FROM schema_migrations WHERE number = 1",
            ["DELETE FROM schema_migrations_local ON CLUSTER main WHERE number = 1"],
        ),
        ("ALTER TABLE spans MODIFY SETTING old_parts_lifetime = 60", []),
        (
            "ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 1, old_parts_lifetime = 60",
            ["ALTER TABLE spans_local ON CLUSTER main MODIFY SETTING min_bytes_for_wide_part = 1"],
        ),
        ("INSERT INTO schema_migrations SELECT 1", ["INSERT INTO schema_migrations SELECT 1"]),
    ],
)
def test_what_changes_data_goes_to_every_shard(given: str, expected: list[str]) -> None:
    assert statements(given, "main", "db") == expected


def test_a_new_column_reaches_the_table_over_the_shards_too() -> None:
    local, over = statements("ALTER TABLE spans ADD COLUMN IF NOT EXISTS x String", "main", "db")
    assert local == "ALTER TABLE spans_local ON CLUSTER main ADD COLUMN IF NOT EXISTS x String"
    assert over.startswith("CREATE OR REPLACE TABLE spans ON CLUSTER main AS spans_local ENGINE = Distributed(")


def test_a_cluster_needs_a_server(tmp_path: object) -> None:
    with pytest.raises(ConfigurationError, match="SPANHOUSE_STORE_CLUSTER=main needs a ClickHouse server"):
        open_store(str(tmp_path), cluster="main")
