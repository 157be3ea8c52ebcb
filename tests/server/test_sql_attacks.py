"""What people try on a door that takes SQL: refused, or harmless, on a real store with real files around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.sql_attacks import HARMLESS, REFUSED

from spanhouse.errors import SpanhouseError
from spanhouse_server.sql import engine_view, statement
from spanhouse_server.sql.caps import Caps
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.sql.refusal import StatementRefusedError
from spanhouse_server.sql.statement import Checked
from spanhouse_storage.contract import Store
from spanhouse_storage.migrations import migrate
from spanhouse_storage.opening import open_store

MARK = "never-to-be-read"
CAPS = Caps(seconds=5, memory=256 << 20, rows=1_000, bytes=1 << 20, at_once=2)


@dataclass
class Target:
    """A store behind a door, a file that must not be read and one that must not come to be."""

    store: Store
    door: SqlDoor
    secret: Path
    written: Path

    def sql(self, attack: str) -> str:
        return attack.format(secret=self.secret, written=self.written) if len(attack) < 1_000 else attack

    def ask(self, sql: str, **parameters: str) -> str:
        return self.door.ask(self.store, sql, "TabSeparated", parameters=parameters).body.decode(errors="replace")

    def tables(self) -> list[str]:
        rows = self.store.query("SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
        names: list[str] = rows.column("name").to_pylist()
        return names


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("attacked")
    secret = directory / "secret.txt"
    secret.write_text(MARK)
    store = open_store(directory / "store")
    migrate(store)
    yield Target(store, SqlDoor(CAPS), secret, directory / "written.txt")
    store.close()


def test_there_are_enough_attacks() -> None:
    """The list holds many and does not shrink unseen."""
    assert len(REFUSED) >= 150


@pytest.mark.parametrize("name", REFUSED)
def test_an_attack_is_refused(target: Target, name: str) -> None:
    """It never reaches the engine, and the refusal is a sentence that shows nothing of the file."""
    before = target.tables()
    with pytest.raises(StatementRefusedError) as refused:
        target.ask(target.sql(REFUSED[name]), t="one", d="system", c="agent")
    assert MARK not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 600
    assert target.tables() == before
    assert not target.written.exists()


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_an_attack_is_answered(target: Target, name: str) -> None:
    """Words in texts, comments and aliases do nothing."""
    before = target.tables()
    target.ask(target.sql(HARMLESS[name]), v="'; DROP TABLE runs; --")
    assert target.tables() == before


def test_a_parameter_is_a_value_whatever_it_holds(target: Target) -> None:
    """Quotes, semicolons and functions in a parameter come back as they are."""
    value = "') UNION ALL SELECT file('x'); DROP TABLE runs -- "
    assert target.ask("SELECT hex({v:String})", v=value).strip() == value.encode().hex().upper()


def test_a_parameter_s_name_is_a_name(target: Target) -> None:
    """What would end up in a SET is checked."""
    with pytest.raises(StatementRefusedError, match="parameter"):
        target.door.ask(target.store, "SELECT 1", "TabSeparated", parameters={"a = 1, readonly": "0"})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT file('x')",
        "SELECT * FROM numbers(3)",
        "SELECT * FROM format(JSONEachRow, '{}')",
        "SELECT * FROM system.one",
        "SELECT * FROM schema_migrations",
        "SELECT 1 WHERE 1 IN system.one",
        "SELECT 1 WHERE 1 IN (schema_migrations)",
        "SELECT * APPLY(sum) FROM spanhouse.runs",
        "DROP TABLE runs",
        "SHOW TABLES",
        "INSERT INTO runs SELECT 1",
    ],
)
def test_the_engine_s_own_reading_is_a_wall_by_itself(target: Target, sql: str) -> None:
    """Had the parser let it through, what the engine sees in it would be refused."""
    passed = Checked(sql, frozenset({"spanhouse.runs"}), 0)
    seen = target.store.read_only(engine_view.statement(passed), engine_view.FORMAT).body.decode()
    with pytest.raises(StatementRefusedError):
        engine_view.check(passed, seen)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE runs",
        "INSERT INTO runs (tenant) SELECT 'a'",
        "CREATE TEMPORARY TABLE t (a UInt8)",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 7",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "ALTER TABLE runs DELETE WHERE 1",
    ],
)
def test_the_locked_session_is_a_wall_by_itself(target: Target, sql: str) -> None:
    """Had everything been let through, the session could still change no table and no setting, and call nobody."""
    before = target.tables()
    with pytest.raises(SpanhouseError, match=r"READONLY|readonly"):
        target.store.read_only(sql, "TabSeparated")
    assert target.tables() == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, [*range(32), 127]))), max_size=30
    )
)
def test_a_text_means_to_the_engine_what_it_meant_to_the_parser(target: Target, text: str) -> None:
    """However quotes and backslashes stand in it, a text stays that text and nothing else."""
    if any(mark in text for mark in "\u2018\u2019\u201c\u201d"):
        return
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    assert target.ask(f"SELECT hex({quoted})").strip() == text.encode().hex().upper()


WORDS = st.sampled_from(
    [
        *(
            "SELECT",
            "FROM",
            "WHERE",
            "WITH",
            "AS",
            "IN",
            "UNION ALL",
            "runs",
            "system",
            ".",
            ",",
            "(",
            ")",
            "*",
            "1",
            "'a'",
        ),
        *(
            "file",
            "file('/etc/hostname')",
            "IN (",
            "JOIN",
            "ARRAY JOIN",
            "SETTINGS",
            "FORMAT",
            "INTO OUTFILE",
            ";",
            "--",
        ),
        *(
            "/*",
            "*/",
            "`",
            '"',
            "\\",
            "one",
            "schema_migrations",
            "x ->",
            "[",
            "]",
            "{a:String}",
            "$$",
            "ORDER BY",
            "FINAL",
        ),
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=14))
def test_whatever_is_let_through_reads_allowed_tables_alone(target: Target, words: list[str]) -> None:
    """Of random words nothing passes the first wall that the second does not take."""
    schema = target.door._schema(target.store, system=False)
    try:
        checked = statement.check("SELECT " + " ".join(words), schema)
    except StatementRefusedError:
        return
    try:
        seen = target.store.read_only(engine_view.statement(checked), engine_view.FORMAT, {"a": "x"}).body.decode()
    except SpanhouseError:
        return
    engine_view.check(checked, seen)
