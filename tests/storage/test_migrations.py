"""The schema is brought up once, in order, and never downwards."""

from __future__ import annotations

import pyarrow as pa
import pytest

from spanhouse_storage import SchemaTooNewError, Store, migrate
from spanhouse_storage.migrations import migrations, statements
from spanhouse_storage.tables import SCHEMAS

ARROW = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float64": pa.float64(),
    "DateTime('UTC')": pa.timestamp("s", "UTC"),
    "DateTime64(6, 'UTC')": pa.timestamp("us", "UTC"),
    "DateTime64(9, 'UTC')": pa.timestamp("ns", "UTC"),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Array(Float64)": SCHEMAS["metric_points"].field("bounds").type,
    "Array(Int64)": SCHEMAS["ledger"].field("stored").type,
    "Array(Bool)": SCHEMAS["metric_parts"].field("sampled").type,
    "Array(Array(String))": SCHEMAS["metric_parts"].field("groups").type,
    "Array(Array(Float64))": SCHEMAS["metric_parts"].field("sums").type,
    "Array(Array(Int64))": SCHEMAS["metric_parts"].field("sketch_keys").type,
    "Array(UInt64)": SCHEMAS["metric_points"].field("bucket_counts").type,
    "Array(String)": SCHEMAS["spans"].field("finish_reasons").type,
    "Map(String, String)": SCHEMAS["spans"].field("attributes").type,
}


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_arrow_schema_is_the_tables_own(store: Store, table: str) -> None:
    columns = store.query(
        "SELECT name, type FROM system.columns"
        " WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
        {"table": table},
    ).to_pylist()
    described = []
    for column in columns:
        plain = column["type"].replace("LowCardinality(String)", "String")
        nullable = plain.startswith("Nullable(")
        described.append(pa.field(column["name"], ARROW[plain[9:-1] if nullable else plain], nullable=nullable))
    assert pa.schema(described).equals(SCHEMAS[table])


def test_migrating_again_does_nothing(store: Store) -> None:
    assert migrate(store) == []
    numbers = store.query("SELECT number FROM schema_migrations ORDER BY number").column("number").to_pylist()
    assert numbers == [migration.number for migration in migrations()]


def test_a_migration_that_was_cut_short_is_finished(store: Store) -> None:
    """Killed between its statements and its entry, a migration runs again over tables that are there."""
    facts = next(migration for migration in migrations() if migration.name == "0005_scores")
    store.execute("DELETE FROM schema_migrations WHERE number = {n:UInt32}", {"n": facts.number})
    store.execute("DROP TABLE messages SYNC")
    assert migrate(store) == [facts.name]
    assert store.query("SELECT * FROM messages").column_names == SCHEMAS["messages"].names


def test_a_store_of_a_newer_release_is_refused_and_left_alone(store: Store) -> None:
    newest = migrations()[-1].number
    store.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, 'from_the_future')")
    try:
        with pytest.raises(SchemaTooNewError, match=f"has schema 9999 and this program knows up to {newest}: upgrade"):
            migrate(store)
    finally:
        store.execute("DELETE FROM schema_migrations WHERE number = 9999")


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;\n\n", ["SELECT 1"]),
        ("SELECT ';', 'it\\'s; fine'; SELECT `a;b`", ["SELECT ';', 'it\\'s; fine'", "SELECT `a;b`"]),
        ("-- first; second\nSELECT 1 /* ; */;-- nothing follows;", ["-- first; second\nSELECT 1 /* ; */"]),
        ('SELECT "a;b" AS x', ['SELECT "a;b" AS x']),
        (" ; ;\n", []),
    ],
)
def test_statements_are_split_outside_quotes_and_comments(sql: str, expected: list[str]) -> None:
    assert list(statements(sql)) == expected
