"""What is special about a store behind a URL: it can be away, overloaded, or somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.clickhouse_http import ClickHouseHttp
from tests.support.rows import rows, run, span

from spanhouse.errors import ConfigurationError
from spanhouse_storage import QueryError, StorageError, StoreUnavailableError, migrate, open_store
from spanhouse_storage.reads import RunFilter, list_runs, spans_of_traces


def test_a_server_that_does_not_listen_is_unavailable(unused_port: int) -> None:
    with pytest.raises(StoreUnavailableError, match=f"could not open clickhouse://127.0.0.1:{unused_port}/db"):
        open_store(f"clickhouse://u:secret@127.0.0.1:{unused_port}/db")


def test_a_server_that_goes_away_is_unavailable_and_the_batch_can_be_sent_again(server: ClickHouseHttp) -> None:
    store = open_store(server.url())
    migrate(store)
    batch = rows("spans", span())
    server.failures += [(503, 0)]
    with pytest.raises(StoreUnavailableError):
        store.insert("spans", batch, "one")
    store.insert("spans", batch, "one")
    assert store.query("SELECT count() AS n FROM spans").column("n")[0].as_py() == 1
    store.close()


@pytest.mark.parametrize(
    ("code", "kind"), [(241, StoreUnavailableError), (252, StoreUnavailableError), (62, QueryError)]
)
def test_overload_passes_and_a_refused_statement_does_not(
    server: ClickHouseHttp, code: int, kind: type[StorageError]
) -> None:
    store = open_store(server.url())
    server.failures += [(500, code)]
    with pytest.raises(StorageError) as failed:
        store.query("SELECT 1")
    assert type(failed.value) is kind
    store.close()


def test_a_wrong_password_is_a_refusal_and_is_not_shown(server: ClickHouseHttp) -> None:
    with pytest.raises(QueryError, match="Authentication failed") as refused:
        open_store(f"clickhouse://default:letmein@127.0.0.1:{server.port}/spanhouse")
    assert "letmein" not in str(refused.value)


def test_each_database_of_a_server_is_a_store_of_its_own(server: ClickHouseHttp) -> None:
    first, second = open_store(server.url("one")), open_store(server.url("two"))
    migrate(first)
    migrate(second)
    first.insert("spans", rows("spans", span()), "a")
    counts = [store.query("SELECT count() AS n FROM spans").column("n")[0].as_py() for store in (first, second)]
    assert counts == [1, 0]
    first.close()
    second.close()


def test_the_same_reads_work_over_http(server: ClickHouseHttp) -> None:
    store = open_store(server.url())
    migrate(store)
    store.insert("runs", rows("runs", run("r1"), run("r2")), "a")
    store.insert("spans", rows("spans", span("t1", "a")), "b")
    page = list_runs(store, RunFilter(agent=["", "nobody"], text="x"), limit=1)
    assert (page.rows.num_rows, page.next_cursor) == (0, None)
    many = [("acme", f"{number:032x}") for number in range(8_000)]
    assert spans_of_traces(store, [*many, ("acme", "t1")]).num_rows == 1
    store.close()


@pytest.mark.parametrize("url", ["http://host/db", "clickhouse:///db", "postgres://u:secret@host/db"])
def test_a_url_that_is_no_store_is_refused_with_the_form_to_write(url: str) -> None:
    with pytest.raises(ConfigurationError, match="clickhouse://user:password@host:8123/database") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


def test_a_database_name_that_is_no_identifier_is_refused(server: ClickHouseHttp) -> None:
    with pytest.raises(StorageError, match="database name 'a-b' cannot be used"):
        open_store(server.url("a-b"))


def test_a_closed_store_refuses_every_call(server: ClickHouseHttp) -> None:
    store = open_store(server.url())
    store.close()
    store.close()
    with pytest.raises(StorageError, match="is closed"):
        store.query("SELECT 1")


def test_inserts_wait_for_the_shards_and_carry_their_token(tmp_path: Path) -> None:
    with ClickHouseHttp(tmp_path / "engine", cluster="main") as server:
        store = open_store(server.url(), cluster="main")
        migrate(store)
        settings = {
            row["name"]: row["value"]
            for row in store.query("SELECT name, value FROM system.settings WHERE changed").to_pylist()
        }
        store.close()
    assert settings["distributed_foreground_insert"] == "1"
    assert settings["distributed_product_mode"] == "global"
