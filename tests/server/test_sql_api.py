"""``/api/v1/sql`` and ``spanhouse sql`` on a real server: formats, bounds, who may, and what there is to read."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from click.testing import CliRunner
from tests.support.process import free_port
from tests.support.served import Served, problem, serving
from tests.support.served_runs import fill

from spanhouse.client import Client
from spanhouse.errors import ConfigurationError, ServerError
from spanhouse_server.cli.sql import sql as command
from spanhouse_server.process import build
from spanhouse_server.settings import Settings
from spanhouse_server.sql.caps import Caps
from spanhouse_server.sql.columns import sentences, tables
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.sql.refusal import Cap, CapReachedError
from spanhouse_storage.tables import SCHEMAS
from spanhouse_storage.tenants import TenantStore

COUNT = "SELECT agent, count() AS n FROM runs FINAL GROUP BY agent ORDER BY agent"

LONG = """
SELECT count() FROM (SELECT arrayJoin(range(10000)) AS x) AS a, (SELECT arrayJoin(range(10000)) AS y) AS b,
    (SELECT arrayJoin(range(10000)) AS z) AS c
WHERE cityHash64(x, y, z) = 1
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with small bounds and runs in it."""
    directory = tmp_path_factory.mktemp("sql") / "data"
    caps = {"sql_seconds": 2.0, "sql_memory": 64 << 20, "sql_rows": 500, "sql_bytes": 1 << 20}
    with serving(directory, sql_http=f"127.0.0.1:{free_port()}", **caps) as running:
        fill(running)
        yield running


@pytest.fixture(scope="module")
def operator(served: Served) -> Iterator[httpx.Client]:
    shown = {"authorization": f"Bearer {served.parts.operator_token}"}
    with httpx.Client(base_url=served.url, headers=shown, timeout=60) as client:
        yield client


def ask(client: httpx.Client, sql: str, **parameters: str) -> httpx.Response:
    return client.post("/api/v1/sql", json={"sql": sql, "parameters": parameters})


def test_rows_come_with_their_types(operator: httpx.Client, served: Served) -> None:
    """JSON: columns with names and types, rows in order, and what it took."""
    answer = ask(operator, COUNT).json()
    assert answer["columns"][1] == {"name": "n", "type": "UInt64"}
    assert (
        sum(row[1] for row in answer["rows"])
        == served.parts.store.query("SELECT count() AS n FROM runs FINAL")["n"][0].as_py()
    )
    assert answer["row_count"] == len(answer["rows"])
    assert answer["rows_read"] > 0
    assert answer["seconds"] >= 0


def test_get_and_parameters_say_the_same(operator: httpx.Client) -> None:
    """A parameter travels beside the statement, in the body or as NAME=VALUE."""
    sql = "SELECT {a:String} AS a, {b:UInt8} AS b"
    got = operator.get("/api/v1/sql", params={"sql": sql, "parameter": ["a=x=y'z", "b=3"]})
    assert got.json()["rows"] == ask(operator, sql, a="x=y'z", b="3").json()["rows"] == [["x=y'z", 3]]
    problem(operator.get("/api/v1/sql", params={"sql": sql, "parameter": "a"}), 400)


def test_arrow_and_csv(operator: httpx.Client) -> None:
    """Whichever the caller accepts."""
    body = {"sql": "SELECT 1 AS a, 'x,y' AS b"}
    arrow = operator.post("/api/v1/sql", json=body, headers={"accept": "application/vnd.apache.arrow.stream"})
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == [{"a": 1, "b": "x,y"}]
    csv = operator.post("/api/v1/sql", json=body, headers={"accept": "text/csv"})
    assert csv.text == '"a","b"\n1,"x,y"\n'


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM runs FINAL LIMIT 1",
        "SELECT r.agent, s.tool FROM runs AS r JOIN steps AS s USING (tenant, run_id) LIMIT 3",
        "WITH s AS (SELECT agent, quantile(0.95)(run_seconds) AS p FROM runs FINAL GROUP BY agent) SELECT * FROM s",
        "SELECT arrayMap(x -> x * 2, [1, 2]), attributes['a'], mapKeys(resource) FROM spans LIMIT 1",
        "SELECT toStartOfHour(start) AS h, countIf(status = 'error') / count() FROM spans GROUP BY h ORDER BY h",
        "SELECT name, row_number() OVER (PARTITION BY trace_id ORDER BY start) FROM spans LIMIT 2",
        "SELECT m, count() FROM runs FINAL ARRAY JOIN models AS m GROUP BY m WITH TOTALS",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
        "SELECT JSONExtractString(data, 'tool'), name FROM audit_events WHERE name LIKE 'tool.%' LIMIT 2",
        "SELECT t, r FROM ledger ARRAY JOIN tenants AS t, received AS r LIMIT 2",
        "EXPLAIN SELECT count() FROM runs",
        "EXPLAIN ESTIMATE SELECT count() FROM runs",
        "SHOW TABLES",
        "DESCRIBE runs",
    ],
)
def test_shapes_of_statements(operator: httpx.Client, sql: str) -> None:
    """What people write is answered."""
    assert ask(operator, sql).status_code == 200, ask(operator, sql).text


@pytest.mark.parametrize(
    ("sql", "status", "named"),
    [
        ("SELECT arrayJoin(range(2000))", 413, "SPANHOUSE_SQL_ROWS"),
        ("SELECT a.span_id FROM spans AS a, spans AS b", 413, "SPANHOUSE_SQL_ROWS"),
        ("SELECT toString(range(400000))", 413, "SPANHOUSE_SQL_BYTES"),
        ("SELECT length(groupArray(x)) FROM (SELECT arrayJoin(range(100000000)) AS x)", 503, "SPANHOUSE_SQL_MEMORY"),
        (
            LONG,
            503,
            "SPANHOUSE_SQL_SECONDS",
        ),
    ],
)
def test_a_bound_is_named_with_how_to_stay_below_it(operator: httpx.Client, sql: str, status: int, named: str) -> None:
    """413 for an answer that is too large, 503 for work that is too much."""
    detail = problem(ask(operator, sql), status)["detail"]
    assert named in detail
    assert ": " in detail


def test_mistakes_are_sentences(operator: httpx.Client) -> None:
    """A column that is not there, a table that is not there, a statement that is none."""
    assert "nothing" in problem(ask(operator, "SELECT nothing FROM runs"), 400)["detail"]
    assert "did you mean runs?" in problem(ask(operator, "SELECT * FROM run"), 400)["detail"]
    assert "\x1b" not in problem(ask(operator, "SELEC 1"), 400)["detail"]
    assert "SQL" not in problem(operator.post("/api/v1/sql", json={"sq": "SELECT 1"}), 400)["title"]


def test_on_the_embedded_store_only_the_operator_may(served: Served) -> None:
    """Reading is open on loopback; statements are not."""
    problem(served.http.post("/api/v1/sql", json={"sql": "SELECT 1"}), 401)
    problem(served.http.get("/api/v1/sql", params={"sql": "SELECT 1"}), 401)
    problem(served.http.get("/api/v1/sql/tables"), 401)


def test_the_server_speaks_clickhouse_s_protocol_where_it_is_told_to(served: Served) -> None:
    """On the address of --sql-http, through the same door and to the same people."""
    url = f"http://{served.parts.settings.sql_http}"
    asked = {"query": "SELECT count() > 0 FROM runs"}
    assert httpx.get(url, params=asked, auth=("me", served.parts.operator_token)).text == "1\n"
    assert httpx.get(url, params=asked).status_code == 401


def test_an_address_that_is_taken_is_a_sentence_before_anything_is_opened(tmp_path: Path) -> None:
    """The server does not start without what it was told to serve."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match="--sql-http"):
            build(Settings(data=str(tmp_path / "data"), grpc="", sql_http=taken))
    assert not (tmp_path / "data" / "store").exists()


def test_a_narrowed_store_shows_its_tenants_alone(served: Served) -> None:
    """Where keys of some tenants may ask, the engine leaves all others out: subqueries, joins, aliases, catalogue."""
    store = served.parts.store
    tenants: list[str] = store.query("SELECT DISTINCT tenant FROM runs ORDER BY tenant").column("tenant").to_pylist()
    assert len(tenants) > 1
    door, narrowed = SqlDoor(served.parts.sql.caps), TenantStore(store, [tenants[0]])
    for sql in (
        "SELECT DISTINCT tenant FROM runs",
        "SELECT DISTINCT tenant FROM spanhouse.runs AS ledger",
        "SELECT DISTINCT tenant FROM (SELECT * FROM runs FINAL)",
        "SELECT DISTINCT a.tenant FROM runs AS a CROSS JOIN runs AS b",
        "SELECT DISTINCT b.tenant FROM (SELECT 1 AS x) AS a CROSS JOIN runs AS b",
        "WITH x AS (SELECT tenant FROM runs) SELECT DISTINCT tenant FROM x",
        "SELECT DISTINCT arrayJoin((SELECT groupUniqArray(tenant) FROM runs))",
        "SELECT tenant FROM runs UNION DISTINCT SELECT tenant FROM spans",
        "SELECT DISTINCT tenant FROM runs WHERE tenant IN (SELECT tenant FROM runs) OR 1 = 1",
        "SELECT DISTINCT tenant FROM runs PREWHERE 1 OR tenant != ''",
    ):
        found = door.ask(narrowed, sql, "TabSeparated").body.decode().split()
        assert found == [tenants[0]], sql
    own = door.ask(narrowed, "SELECT count() FROM runs", "TabSeparated").body
    for sql in (
        f"WITH '{tenants[1]}' AS tenant SELECT count() FROM runs",
        f"SELECT count() FROM (SELECT '{tenants[1]}' AS tenant, run_id FROM runs)",
        "SELECT count() FROM runs AS tenant",
        "SELECT count() FROM runs AS ledger",
        "SELECT countIf(1) FROM runs WHERE tenant = tenant OR tenant != ''",
        "SELECT sum(n) FROM (SELECT count() AS n FROM runs GROUP BY agent)",
    ):
        assert door.ask(narrowed, sql, "TabSeparated").body == own, sql
    assert door.ask(narrowed, "SELECT count() FROM ledger", "TabSeparated").body == b"0\n"


def test_more_statements_than_turns_are_sent_away(served: Served) -> None:
    """One that finds no turn gets an error that says so, and a turn is free again after each."""
    door = SqlDoor(Caps(seconds=5, memory=256 << 20, rows=10, bytes=1 << 20, at_once=1))
    inside, leave = threading.Event(), threading.Event()

    class Slow:
        info = served.parts.store.info
        query = served.parts.store.query

        def read_only(self, *given: object) -> object:
            inside.set()
            assert leave.wait(30)
            return served.parts.store.read_only(*given)  # type: ignore[arg-type]

    door._waiting = threading.BoundedSemaphore(1)
    first = threading.Thread(target=door.ask, args=(Slow(), "SELECT 1", "CSV"))
    first.start()
    assert inside.wait(30)
    with pytest.raises(CapReachedError) as sent_away:
        door.ask(served.parts.store, "SELECT 1", "CSV")
    assert sent_away.value.cap is Cap.AT_ONCE
    leave.set()
    first.join()
    assert door.ask(served.parts.store, "SELECT 1", "CSV").body == b"1\n"


def test_every_column_has_a_sentence() -> None:
    """What can be read is described, with nothing left out and nothing made up."""
    for table, meanings in sentences().items():
        for name, sentence in meanings.items():
            assert sentence.endswith("."), f"columns.toml has no sentence for {table}.{name}"
    assert {"spans", "runs", "steps", "audit_events", "logs", "metric_points", "scores", "messages", "ledger"} <= set(
        tables()
    )
    assert set(tables()) <= set(SCHEMAS)


def test_the_client_and_the_command_line(served: Served) -> None:
    """Table with types, JSON, CSV, standard errors; the schema with a sentence a column."""
    assert served.client.sql(COUNT)["columns"][0]["name"] == "agent"
    with pytest.raises(ServerError, match="file"):
        served.client.sql("SELECT file('x')")
    with pytest.raises(ServerError, match="operator"):
        Client(served.url).sql("SELECT 1")

    def cli(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(command, [*arguments, "--url", served.url, "--data", str(served.data)])
        assert ended.exit_code == code, ended.output
        return ended.stdout if code == 0 else ended.stderr

    shown = cli("SELECT 1 AS one, 'a[b]' AS text")
    assert "one (UInt8)" in shown
    assert "a[b]" in shown
    assert json.loads(cli(COUNT, "--json"))["row_count"] > 0
    assert cli("SELECT {x:String} AS a", "--csv", "--param", "x=y") == '"a"\n"y"\n'
    assert "not among those" in cli("SELECT file('x')", code=1)
    tables_shown = cli("--tables", "--table", "runs")
    assert "Why the run stopped" in tables_shown
    assert "Nullable(Float64)" in tables_shown
