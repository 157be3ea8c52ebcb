"""ClickHouse's own Python client reads the embedded store through the endpoint, in every form it has."""

from __future__ import annotations

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support.rows import NOON
from tests.support.sql_endpoint import RUNS, TOKEN, SqlEndpoint, sql_endpoint

from spanhouse_storage import reads
from spanhouse_storage.contract import QueryError
from spanhouse_storage.opening import open_store


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlEndpoint]:
    with sql_endpoint(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture(scope="module")
def client(endpoint: SqlEndpoint) -> Iterator[Client]:
    made = clickhouse_connect.get_client(
        host="127.0.0.1", port=endpoint.port, username="operator", password=TOKEN, database="spanhouse"
    )
    yield made
    made.close()


def test_it_connects_and_knows_the_version(client: Client, endpoint: SqlEndpoint) -> None:
    """What the client asks at the start is answered, the time zone and its settings included."""
    assert client.server_version == endpoint.store.info.engine_version
    assert str(client.server_tz) in {"UTC", "Etc/UTC"}
    assert "date_time_input_format" in client.server_settings
    assert client.ping()


def test_it_queries_rows(client: Client) -> None:
    """Texts, numbers, times, lists and maps come as Python's."""
    found = client.query(
        "SELECT run_id, run_seconds, started_at, models, cost_usd FROM runs FINAL ORDER BY run_id LIMIT 2"
    )
    first, second = found.result_rows
    assert first[0] == "run-00"
    assert first[1] == 60.0
    assert first[2].replace(tzinfo=None) == NOON.replace(tzinfo=None)
    assert first[3] == ["gpt-4o-mini"]
    assert first[4] is None
    assert second[4] == 0.01
    assert found.column_names == ("run_id", "run_seconds", "started_at", "models", "cost_usd")
    assert client.query("SELECT attributes FROM spans LIMIT 1").result_rows[0][0]["other"] == "x"
    assert int(found.summary["read_rows"]) > 0


@pytest.mark.parametrize("value", ["support", "it's", 'a "b" \\ c', "größer \U0001f600", "'; DROP TABLE runs; --"])
def test_it_binds_parameters_on_the_server(client: Client, value: str) -> None:
    """A value travels beside the statement and comes back the same."""
    assert client.query("SELECT {v:String} AS v", parameters={"v": value}).result_rows == [(value,)]


def test_it_binds_lists_and_numbers(client: Client) -> None:
    """Typed parameters, arrays and client-side ones too."""
    found = client.query(
        "SELECT count() FROM runs FINAL WHERE run_id IN {ids:Array(String)} AND run_seconds > {s:Float64}",
        parameters={"ids": ["run-01", "run-02"], "s": 1.5},
    )
    assert found.result_rows == [(2,)]
    assert client.query(
        "SELECT count() FROM runs FINAL WHERE agent = %(a)s", parameters={"a": "sales"}
    ).result_rows == [(RUNS // 2,)]


def test_it_gives_frames_and_arrow(client: Client) -> None:
    """Frames of pandas and Arrow tables, by the client's own means."""
    frame = client.query_df("SELECT agent, count() AS n FROM runs FINAL GROUP BY agent ORDER BY agent")
    assert frame["n"].tolist() == [RUNS // 2, RUNS // 2]
    table = client.query_arrow("SELECT agent, count() AS n FROM runs FINAL GROUP BY agent ORDER BY agent")
    assert table.column("n").to_pylist() == [RUNS // 2, RUNS // 2]


def test_it_streams(client: Client) -> None:
    """Blocks one after another."""
    with client.query_row_block_stream("SELECT run_id FROM runs FINAL ORDER BY run_id") as blocks:
        assert sum(len(block) for block in blocks) == RUNS


def test_it_sees_our_tables_alone(client: Client) -> None:
    """The engine's catalogue holds what can be read, and nothing of the server's own."""
    names = {row[0] for row in client.query("SELECT name FROM system.tables").result_rows}
    assert {"runs", "spans", "steps", "audit_events", "ledger"} <= names
    assert "schema_migrations" not in names
    assert client.query("SHOW DATABASES").result_rows == [("spanhouse",)]
    described = client.query("DESCRIBE TABLE spanhouse.runs").result_rows
    assert ("run_seconds", "Nullable(Float64)") in {row[:2] for row in described}
    assert client.command("SELECT count() FROM system.columns WHERE database != 'spanhouse'") == 0


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM system.users", 497),
        ("SELECT file('/etc/hostname')", 497),
        ("DROP TABLE runs", 497),
        ("SELECT nothing FROM runs", 47),
        ("SELECT run_id, number FROM runs ARRAY JOIN range(10000) AS number", 396),
    ],
)
def test_what_is_refused_is_an_error_with_its_code(client: Client, sql: str, code: int) -> None:
    """The client raises its own error, with the number and a sentence."""
    with pytest.raises(DatabaseError) as refused:
        client.query(sql)
    assert refused.value.code == code


def test_inserting_is_refused(client: Client) -> None:
    """Nothing is written here, by whatever means the client has."""
    with pytest.raises(DatabaseError):
        client.insert("runs", [["x"]], column_names=["run_id"], column_type_names=["String"])


def test_a_setting_that_widens_is_refused(endpoint: SqlEndpoint) -> None:
    """A client can say how the answer is written, and no more."""
    made = clickhouse_connect.get_client(
        host="127.0.0.1", port=endpoint.port, username="o", password=TOKEN, settings={"join_use_nulls": 1}
    )
    assert made.query("SELECT 1").result_rows == [(1,)]
    made.close()
    with pytest.raises(DatabaseError, match="additional_table_filters"):
        clickhouse_connect.get_client(
            host="127.0.0.1",
            port=endpoint.port,
            username="o",
            password=TOKEN,
            query_retries=0,
            settings={"http_additional_table_filters": "{}"},
        ).raw_query("SELECT 1", transport_settings={"additional_table_filters": "{}"})


def test_a_wrong_password_opens_nothing(endpoint: SqlEndpoint) -> None:
    """Not even the version is told."""
    for password in ("", "wrong", TOKEN + "x"):
        with pytest.raises(DatabaseError) as refused:
            clickhouse_connect.get_client(host="127.0.0.1", port=endpoint.port, username="operator", password=password)
        assert refused.value.code == 516


def test_our_own_store_reads_through_it(endpoint: SqlEndpoint) -> None:
    """`open_store` of a clickhouse:// URL reads what is here, and cannot write."""
    store = open_store(f"clickhouse://operator:{TOKEN}@127.0.0.1:{endpoint.port}/spanhouse")
    try:
        assert store.info.kind == "server"
        assert store.query("SELECT count() AS n FROM runs FINAL").to_pylist() == [{"n": RUNS}]
        bound = store.query(
            "SELECT run_id FROM runs FINAL WHERE agent = {a:String} ORDER BY run_id LIMIT 1", {"a": "sales"}
        )
        assert bound.to_pylist() == [{"run_id": "run-01"}]
        assert reads.run_by_id(store, "run-03").column("agent").to_pylist() == ["sales"]
        assert reads.facets(store)["agent"] == ["sales", "support"]
        with pytest.raises(QueryError):
            store.execute("DROP TABLE runs")
    finally:
        store.close()
