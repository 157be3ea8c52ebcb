"""A store of every released schema is brought to this one with its rows, and a drift is named with what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.rows import rows, run, span

from spanhouse_storage import SchemaTooNewError, Store, migrate, open_store
from spanhouse_storage import migrations as module
from spanhouse_storage.inspection import drift
from spanhouse_storage.migrations import migrations
from spanhouse_storage.tables import SCHEMAS

OLDEST = 6
"""Schema of the first release."""

RELEASED = range(OLDEST, len(migrations()))
FIGURES = (
    "SELECT count() AS runs, sum(cost_usd) AS usd, sum(input_tokens) AS tokens, countIf(stop_code = 'finish') AS fine"
    " FROM runs FINAL"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store")
    yield opened
    opened.close()


def _at(store: Store, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a store to an older schema, as the release of that time did."""
    older = [each for each in migrations() if each.number <= number]
    with monkeypatch.context() as patch:
        patch.setattr(module, "migrations", lambda: older)
        migrate(store)


def _put(store: Store) -> None:
    """Insert as a release did that knew no more than the columns there are."""
    given = {
        "runs": rows("runs", run("r1", cost_usd=0.5, input_tokens=3), run("r2", cost_usd=None, input_tokens=4)),
        "spans": rows("spans", span("t1", "a", output="é"), span("t1", "b")),
        "audit_events": rows("audit_events", {"tenant": "acme", "stream": "r1", "seq": 1, "data": "{}"}),
    }
    for table, batch in given.items():
        held = store.query(f"SELECT * FROM {table} LIMIT 0").column_names
        names = [name for name in held if name in batch.column_names]
        with store._writer() as client:  # type: ignore[attr-defined]
            store._send(client, table, batch.select(names), {"async_insert": 0})  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", RELEASED)
def test_every_released_schema_comes_up_with_its_rows_and_figures(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _at(store, number, monkeypatch)
    _put(store)
    before = store.query(FIGURES).to_pylist()
    assert before == [{"runs": 2, "usd": 0.5, "tokens": 7, "fine": 2}]
    migrate(store)
    assert store.query(FIGURES).to_pylist() == before
    assert store.query("SELECT output FROM spans FINAL ORDER BY span_id").column("output").to_pylist() == ["é", ""]
    assert store.query("SELECT data FROM audit_events").column("data").to_pylist() == ["{}"]
    assert drift(store) == []
    for table in SCHEMAS:
        store.insert(table, rows(table, {}), "after")


@pytest.mark.parametrize("stopped_after", range(1, 4))
def test_a_migration_that_stops_at_any_statement_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, stopped_after: int
) -> None:
    _at(store, OLDEST, monkeypatch)
    _put(store)
    done = 0
    execute = store.execute

    def failing(sql: str, parameters: object = None) -> None:
        nonlocal done
        done += 1
        if done > stopped_after + 2:
            msg = "killed"
            raise KeyboardInterrupt(msg)
        execute(sql, parameters)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store, "execute", failing)
        with pytest.raises(KeyboardInterrupt):
            migrate(store)
    migrate(store)
    assert drift(store) == []
    assert store.query(FIGURES).column("runs").to_pylist() == [2]


def test_a_newer_schema_says_which_release_to_install(store: Store) -> None:
    migrate(store)
    store.execute("INSERT INTO schema_migrations (number, name, release) VALUES (9999, 'later', '7.8.9')")
    with pytest.raises(SchemaTooNewError, match=r"upgrade spanhouse to 7\.8\.9 or newer \(pip install --upgrade"):
        migrate(store)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ALTER TABLE logs DROP COLUMN body", "column logs.body is missing: ALTER TABLE logs ADD COLUMN body String"),
        ("ALTER TABLE logs ADD COLUMN odd String", "column logs.odd is unknown: ALTER TABLE logs DROP COLUMN odd"),
        (
            "ALTER TABLE scores MODIFY COLUMN value Nullable(Float32)",
            "column scores.value is Nullable(Float32), not Nullable(Float64): ALTER TABLE scores MODIFY COLUMN value ",
        ),
        ("ALTER TABLE runs DROP INDEX by_request", "index runs.by_request is missing"),
        ("DROP TABLE deletions SYNC", "table deletions is missing: DELETE FROM schema_migrations WHERE number = 10"),
        ("DELETE FROM schema_migrations WHERE number = 10", "migration 0010_deletions was not run"),
    ],
)
def test_a_drift_is_named_with_what_mends_it(store: Store, harm: str, said: str) -> None:
    migrate(store)
    assert drift(store) == []
    store.execute(harm)
    found = drift(store)
    assert len(found) == 1
    assert found[0].startswith(said)
