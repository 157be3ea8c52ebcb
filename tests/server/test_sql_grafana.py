"""What Grafana's ClickHouse data source sends over HTTP: its Go client's requests, by hand, on a real store."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.support.sql_endpoint import RUNS, TOKEN, SqlEndpoint, sql_endpoint

from spanhouse_server.keys import table
from spanhouse_server.keys.rights import Role

HELLO = "SELECT displayName(), version(), revision(), timezone()"
URL = {"default_format": "Native", "client_protocol_version": "54460", "database": "spanhouse"}

FUNCTIONS = """
      SELECT
        name, is_aggregate, case_insensitive, alias_to, origin, description,
        syntax, arguments, returned_value, examples, categories
      FROM system.functions
      LIMIT 10000
    """


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlEndpoint]:
    with sql_endpoint(tmp_path_factory.mktemp("grafana")) as running:
        yield running


@pytest.fixture(scope="module")
def grafana(endpoint: SqlEndpoint) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoint.url, auth=("grafana", TOKEN), timeout=30) as client:
        yield client


class Native:
    """Reads blocks as the Go client does, by revision."""

    def __init__(self, body: bytes, revision: int) -> None:
        self._data, self._revision = io.BytesIO(body), revision

    def rows(self) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        while True:
            block = self._block()
            if block is None:
                return found
            found += zip(*block, strict=True)

    def _block(self) -> list[list[Any]] | None:
        if self._revision > 0:
            first = self._varint()
            if first is None:
                return None
            assert first == 1
            self._data.read(1)
            assert self._varint() == 2
            assert struct.unpack("<i", self._data.read(4)) == (-1,)
            assert self._varint() == 0
        columns = self._varint()
        if columns is None:
            return None
        rows = self._varint() or 0
        return [self._column(rows) for _ in range(columns)]

    def _column(self, rows: int) -> list[Any]:
        self._text()
        kind = self._text()
        if self._revision >= 54_454:
            assert self._data.read(1) == b"\0"
        if kind == "String":
            return [self._text() for _ in range(rows)]
        form, size = {"UInt8": ("<B", 1), "UInt32": ("<I", 4), "UInt64": ("<Q", 8)}[kind]
        return [struct.unpack(form, self._data.read(size))[0] for _ in range(rows)]

    def _varint(self) -> int | None:
        value = shift = 0
        while byte := self._data.read(1):
            value |= (byte[0] & 127) << shift
            if byte[0] < 128:
                return value
            shift += 7
        return None

    def _text(self) -> str:
        return self._data.read(self._varint() or 0).decode()


def test_the_go_client_s_first_question_is_answered_in_its_own_revision(grafana: httpx.Client) -> None:
    """It learns the revision of all later answers from the first, which it reads by its own."""
    answer = grafana.post("/", params=URL, content=HELLO)
    assert answer.status_code == 200
    ((name, version, revision, zone),) = Native(answer.content, 54_460).rows()
    assert (name, revision, zone) == ("Spanhouse", 0, "UTC")
    assert int(version.split(".")[0]) >= 20
    assert Native(grafana.post("/", params={"default_format": "Native"}, content=HELLO).content, 0).rows()[0][2] == 0


def test_its_ping_is_one(grafana: httpx.Client) -> None:
    """`SELECT 1`, with a column that is called 1."""
    body = grafana.post("/", params=URL, content="SELECT 1").content
    assert body[2:4] == b"\x011"
    assert Native(body, 0).rows() == [(1,)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SHOW DATABASES", [("spanhouse",)]),
        ("SELECT count() AS n FROM system.tables WHERE name = 'runs'", [(1,)]),
        ('SELECT count() FROM "spanhouse"."runs" FINAL', [(RUNS,)]),
        (
            'SELECT DISTINCT arrayJoin(attributes.keys) as keys FROM "spanhouse"."spans" ORDER BY keys LIMIT 1000',
            [("k",), ("other",)],
        ),
        ("SELECT count() FROM (SELECT name, type, table FROM system.columns WHERE database IN ('system'))", [(0,)]),
        ("select distinct agent from spanhouse.runs order by agent limit 1000", [("sales",), ("support",)]),
    ],
)
def test_what_it_explores_with_is_answered(grafana: httpx.Client, sql: str, expected: list[tuple[Any, ...]]) -> None:
    """Databases, tables, columns and keys of maps, for the query builder and for ad hoc values."""
    assert grafana.post("/", params=URL, content=sql).status_code == 200
    answer = grafana.post("/", params={**URL, "default_format": "JSONCompact"}, content=sql)
    assert [tuple(row) for row in answer.json()["data"]] == expected


@pytest.mark.parametrize(
    "sql",
    [
        'SHOW TABLES FROM "spanhouse"',
        'DESC TABLE "spanhouse"."spans"',
        "SELECT name, type, table FROM system.columns",
        FUNCTIONS,
    ],
)
def test_its_lists_are_there(grafana: httpx.Client, sql: str) -> None:
    """What fills its menus and its completion."""
    answer = grafana.post("/", params={**URL, "default_format": "JSONCompact"}, content=sql)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] > 5


def test_a_panel_s_query_is_answered(grafana: httpx.Client) -> None:
    """What its macros $__timeInterval and $__timeFilter become."""
    sql = (
        "SELECT toStartOfInterval(toDateTime(started_at), INTERVAL 3600 second) as time, agent, count() AS runs\n"
        "FROM runs FINAL WHERE started_at >= toDateTime(1772600000) AND started_at <= toDateTime(1772700000)\n"
        "GROUP BY time, agent ORDER BY time WITH FILL STEP 3600"
    )
    answer = grafana.post("/", params={**URL, "default_format": "JSON", "max_execution_time": "60"}, content=sql)
    assert answer.status_code == 200, answer.text
    assert sum(int(row["runs"]) for row in answer.json()["data"]) == RUNS


def test_it_reads_gzip(grafana: httpx.Client) -> None:
    """With the setting it sends the answer is compressed; without it, or for a few bytes, it is not."""
    sql = "SELECT run_id, trace_id, input_preview FROM runs FINAL"
    asked = {**URL, "enable_http_compression": "1"}
    raw = grafana.build_request("POST", "/", params=asked, content=sql, headers={"accept-encoding": "gzip"})
    answer = grafana.send(raw, stream=True)
    packed = b"".join(answer.iter_raw())
    answer.close()
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == grafana.post("/", params=URL, content=sql).content
    assert "content-encoding" not in grafana.post("/", params=asked, content="SELECT 1").headers


def test_a_statement_may_come_compressed(grafana: httpx.Client) -> None:
    """As the body of a POST in gzip; what unpacks to too much is refused."""
    packed = gzip.compress(b"SELECT 1 AS one")
    answer = grafana.post("/", content=packed, headers={"content-encoding": "gzip"}, params={"default_format": "CSV"})
    assert answer.text == "1\n"
    bomb = gzip.compress(b" " * (8 << 20))
    refused = grafana.post("/", content=bomb, headers={"content-encoding": "gzip"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("form", "check"),
    [
        ("JSON", lambda body: json.loads(body)["data"] == [{"a": 1, "b": "x"}]),
        ("JSONEachRow", lambda body: json.loads(body) == {"a": 1, "b": "x"}),
        ("JSONCompact", lambda body: json.loads(body)["meta"][0] == {"name": "a", "type": "UInt8"}),
        ("CSVWithNames", lambda body: body == b'"a","b"\n1,"x"\n'),
        ("TabSeparatedWithNamesAndTypes", lambda body: body == b"a\tb\nUInt8\tString\n1\tx\n"),
        ("ArrowStream", lambda body: pa.ipc.open_stream(body).read_all().to_pylist() == [{"a": 1, "b": "x"}]),
        ("RowBinary", lambda body: body == b"\x01\x01x"),
        ("Markdown", lambda body: b"| a | b |" in body),
    ],
)
def test_formats(grafana: httpx.Client, form: str, check: Any) -> None:
    """Named in the statement, beside it, or in a header."""
    sql = "SELECT 1 AS a, 'x' AS b"
    assert check(grafana.post("/", content=f"{sql} FORMAT {form}").content)
    assert check(grafana.get("/", params={"query": sql, "default_format": form}).content)
    assert check(grafana.get("/", params={"query": sql}, headers={"x-clickhouse-format": form}).content)


def test_what_answers_are_about_stands_in_headers(grafana: httpx.Client) -> None:
    """Format, time zone, id and figures."""
    answer = grafana.get("/", params={"query": "SELECT count() FROM runs", "query_id": "mine", "session_id": "s"})
    assert answer.headers["x-clickhouse-query-id"] == "mine"
    assert answer.headers["x-clickhouse-timezone"] == "UTC"
    assert answer.headers["x-clickhouse-format"] == "TabSeparated"
    assert {"read_rows", "read_bytes", "elapsed_ns"} <= set(json.loads(answer.headers["x-clickhouse-summary"]))


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"query": "SELECT 1 SETTINGS additional_table_filters = {}"}, 403, "497"),
        ({"query": "SELECT * FROM nothing"}, 403, "497"),
        ({"query": "SELECT x FROM runs"}, 400, "47"),
        ({"query": "SELECT 1", "readonly_": "0"}, 403, "164"),
        ({"query": "SELECT 1", "additional_table_filters": "{}"}, 403, "164"),
        ({"query": "SELECT 1", "database": "system"}, 404, "81"),
        ({"query": "SELECT 1 FORMAT Null"}, 400, "73"),
        ({"query": "SELECT 1", "compress": "1"}, 400, "48"),
        ({"query": "SELECT arrayJoin(range(2000))"}, 413, "396"),
        ({"query": "SELECT 1", "param_a b": "1"}, 403, "497"),
        ({"query": "SELECT 1", "session_timezone": "no where"}, 400, None),
    ],
)
def test_errors_are_text_with_a_code(
    grafana: httpx.Client, query: dict[str, str], status: int, code: str | None
) -> None:
    """As ClickHouse's clients know them."""
    answer = grafana.get("/", params=query)
    assert answer.status_code == status, answer.text
    assert answer.text.startswith("Code: ")
    assert "DB::Exception" in answer.text
    assert code is None or answer.headers["x-clickhouse-exception-code"] == code


def test_a_setting_cannot_shorten_what_is_checked(grafana: httpx.Client) -> None:
    """`limit` cuts the answer, and not the engine's reading of the statement before it."""
    assert grafana.get("/", params={"query": "SELECT file('/etc/hostname')", "limit": "1"}).status_code == 403
    cut = grafana.get("/", params={"query": "SELECT run_id FROM runs FINAL", "limit": "3", "default_format": "CSV"})
    assert len(cut.text.splitlines()) == 3


def test_who_has_no_key_gets_in_nowhere_but_ping(endpoint: SqlEndpoint) -> None:
    """`/ping` needs nothing; a statement needs the token, wherever a client puts a password."""
    with httpx.Client(base_url=endpoint.url) as anyone:
        assert anyone.get("/ping").text == "Ok.\n"
        refused = anyone.get("/", params={"query": "SELECT 1"})
        assert refused.status_code == 401
        assert refused.headers["x-clickhouse-exception-code"] == "516"
        assert anyone.get("/", params={"query": "SELECT 1"}, auth=("x", "wrong")).status_code == 401
        asked = {"query": "SELECT 1"}
        for headers in ({"x-clickhouse-user": "x", "x-clickhouse-key": TOKEN}, {"authorization": f"Bearer {TOKEN}"}):
            assert anyone.get("/", params=asked, headers=headers).text == "1\n"
        assert anyone.get("/", params={**asked, "user": "x", "password": TOKEN}).text == "1\n"
        assert anyone.get("/", headers={"host": "evil.example"}).status_code == 421


def test_on_the_embedded_store_a_key_must_be_an_admin_s_of_all_tenants(endpoint: SqlEndpoint) -> None:
    """The engine here has no users of its own, so reading keys and keys of some tenants stay outside."""

    def key(role: Role, tenants: frozenset[str] | None) -> str:
        made = table.create(
            endpoint.guard.ring.engine,
            tenants=tenants,
            role=role,
            environment="",
            name="",
            created_by="test",
            expires_at=None,
            now=endpoint.guard.ring.clock(),
        )
        endpoint.guard.ring.changed()
        return made[1]

    with httpx.Client(base_url=endpoint.url, params={"query": "SELECT 1"}) as client:
        for role, tenants, status in (
            (Role.READ, None, 403),
            (Role.OPERATE, None, 403),
            (Role.ADMIN, frozenset({"acme"}), 403),
            (Role.ADMIN, None, 200),
        ):
            assert client.get("/", auth=("grafana", key(role, tenants))).status_code == status
        assert client.get("/", auth=(key(Role.ADMIN, None), "")).status_code == 200
