"""What every store must do, proved on the embedded engine and over ClickHouse's HTTP protocol alike."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.support.rows import FINAL, NOON, rows, run, span

from spanhouse_storage import QueryError, StorageError, Store
from spanhouse_storage.tables import SCHEMAS
from spanhouse_storage.tenants import TenantStore


def count(store: Store, table: str, modifier: str = "") -> int:
    return int(store.query(f"SELECT count() AS n FROM {table} {modifier}").column("n")[0].as_py())


@pytest.mark.parametrize("table", SCHEMAS)
def test_what_is_inserted_comes_back_with_the_same_columns_and_values(store: Store, table: str) -> None:
    # What was decided long ago is past its time, and may be gone by the time it is asked for.
    given = rows(table, {"decided_at": datetime.now(UTC)} if "decided_at" in SCHEMAS[table].names else {})
    store.insert(table, given, "one")
    # The engine's DateTime reaches Arrow as seconds; every other column comes back with the type it went in with.
    names = [name for name in SCHEMAS[table].names if name != "bucket"]
    assert store.query(f"SELECT {', '.join(names)} FROM {table}").equals(given.select(names))


def test_a_batch_sent_again_with_its_token_is_stored_once(store: Store) -> None:
    batch = rows("spans", span("t1", "a"), span("t1", "b"))
    for _ in range(3):
        store.insert("spans", batch, "batch-1")
    assert count(store, "spans") == 2


def test_a_batch_with_another_token_is_another_batch(store: Store) -> None:
    batch = rows("spans", span())
    store.insert("spans", batch, "batch-1")
    store.insert("spans", batch, "batch-2")
    assert (count(store, "spans"), count(store, "spans", "FINAL")) == (2, 1)


def test_more_partitions_than_one_insert_may_touch_are_stored_and_stored_once(store: Store) -> None:
    weeks = rows("spans", *(span("t1", f"s{week}", start=NOON + timedelta(weeks=week)) for week in range(120)))
    store.insert("spans", weeks, "years")
    store.insert("spans", weeks, "years")
    assert count(store, "spans") == 120


def test_an_empty_batch_is_no_insert(store: Store) -> None:
    store.insert("spans", SCHEMAS["spans"].empty_table(), "none")
    assert count(store, "spans") == 0


UNUSUAL = [
    "",
    "\x00",
    "nul\x00inside",
    "😀 é 漢",
    'it\'s \\ "quoted"',
    "tab\tnew\nline\r",
    "{x:String}",
    "NULL",
    "\\N",
    "%s;--",
]


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_text_is_kept_and_found_exactly(store: Store, text: str) -> None:
    store.insert("spans", rows("spans", span("t1", "s1", output=text, attributes=[(text, text)])), "one")
    found = store.query(
        "SELECT output, attributes FROM spans"
        " WHERE output = {text:String} AND attributes[{text:String}] = {text:String}"
        " AND output IN {texts:Array(String)} AND (tenant, output) IN {pairs:Array(Tuple(String, String))}",
        {"text": text, "texts": ["other", text], "pairs": [("acme", text)]},
    )
    assert found.to_pylist() == [{"output": text, "attributes": [(text, text)]}]


def test_a_null_is_not_a_zero(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a", cost_usd=None), span("t1", "b", cost_usd=0.0)), "one")
    found = store.query("SELECT cost_usd FROM spans ORDER BY span_id").column("cost_usd").to_pylist()
    assert found == [None, 0.0]


def test_no_rows_is_a_table_with_the_columns(store: Store) -> None:
    found = store.query("SELECT tenant, start FROM spans")
    assert found.num_rows == 0
    assert found.schema.field("start").type == pa.timestamp("ns", "UTC")


def test_columns_in_another_order_and_wider_types_are_put_right(store: Store) -> None:
    given = rows("runs", run("r1", models=["a", "b"], input_tokens=3))
    wide = pa.table(
        {
            name: given.column(name).cast(pa.large_string())
            if given.schema.field(name).type == pa.string()
            else given.column(name)
            for name in reversed(given.column_names)
        }
    )
    store.insert("runs", wide, "one")
    found = store.query("SELECT run_id, models, input_tokens FROM runs").to_pylist()
    assert found == [{"run_id": "r1", "models": ["a", "b"], "input_tokens": 3}]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda given: given.drop_columns(["agent"]), r"missing \['agent'\]"),
        (lambda given: given.append_column("extra", pa.array(["x"])), r"unknown \['extra'\]"),
        (lambda given: given.set_column(1, "run_id", pa.array([None], pa.string())), "run_id of runs holds nulls"),
        (lambda given: given.set_column(1, "run_id", pa.array([b"\xff"])), "do not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(store: Store, spoil: Any, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        store.insert("runs", spoil(rows("runs", run())), "one")
    assert count(store, "runs") == 0


def test_an_unknown_table_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(QueryError, match=f"the tables are {', '.join(SCHEMAS)}"):
        store.insert("span", rows("spans", span()), "one")


def test_a_refused_statement_says_why_and_carries_the_engines_code(store: Store) -> None:
    with pytest.raises(QueryError, match="UNKNOWN_TABLE") as refused:
        store.query("SELECT 1 FROM nowhere")
    assert refused.value.code == 60


def test_a_value_cannot_become_a_statement(store: Store) -> None:
    store.insert("spans", rows("spans", span()), "one")
    hostile = "x' OR 1 = 1; DROP TABLE spans; --"
    assert store.query("SELECT 1 AS n FROM spans WHERE tenant = {t:String}", {"t": hostile}).num_rows == 0
    assert count(store, "spans") == 1


def test_the_newest_version_of_a_row_wins_whatever_the_order_of_arrival(store: Store) -> None:
    started, finished = span(version=2, is_final=False, name="late start"), span(version=FINAL | 1, name="finished")
    store.insert("spans", rows("spans", finished), "first")
    store.insert("spans", rows("spans", started), "second")
    store.execute("OPTIMIZE TABLE spans FINAL")
    assert store.query("SELECT name, version FROM spans").to_pylist() == [{"name": "finished", "version": FINAL | 1}]


def test_a_deleted_row_is_not_read(store: Store) -> None:
    store.insert("runs", rows("runs", run("r1"), run("r2")), "first")
    store.insert("runs", rows("runs", run("r1", version=2, is_deleted=1, superseded_by="r2")), "second")
    assert store.query("SELECT run_id FROM runs FINAL").column("run_id").to_pylist() == ["r2"]


def test_calls_from_many_threads_do_not_disturb_one_another(store: Store) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store.insert("spans", rows("spans", span("t1", f"s{number}")), f"batch-{number}")
            for _ in range(5):
                value = store.query("SELECT {n:Int64} AS n", {"n": number}).column("n")[0].as_py()
                assert value == number
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert count(store, "spans") == 8


def test_the_store_says_what_it_is_without_its_password(store: Store) -> None:
    assert store.info.kind in {"embedded", "server"}
    assert store.info.database == "spanhouse"
    assert "secret" not in store.info.url
    assert store.info.engine_version.count(".") >= 2


def test_rows_are_deleted_for_good(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a"), span("t2", "a")), "one")
    store.execute(
        "ALTER TABLE spans DELETE WHERE trace_id IN {ids:Array(String)} SETTINGS mutations_sync = 2", {"ids": ["t1"]}
    )
    assert store.query("SELECT trace_id FROM spans").column("trace_id").to_pylist() == ["t2"]


def test_a_reader_of_some_tenants_sees_theirs_alone_however_they_ask(store: Store) -> None:
    store.insert("runs", rows("runs", run("r1"), run("r2", tenant="globex")), "one")
    narrowed = TenantStore(store, ["acme"])
    for statement in (
        "SELECT run_id FROM runs FINAL",
        "SELECT run_id FROM runs WHERE run_id IN (SELECT run_id FROM runs FINAL)",
        "SELECT run_id FROM (SELECT run_id FROM runs UNION DISTINCT SELECT run_id FROM runs FINAL)",
    ):
        assert narrowed.query(statement).column("run_id").to_pylist() == ["r1"]
    assert narrowed.query("SELECT count() AS n FROM runs").column("n").to_pylist() == [1]


def test_a_query_that_takes_too_much_is_ended_and_says_so(store: Store) -> None:
    with pytest.raises(StorageError):
        store.query("SELECT sum(number) FROM numbers(100000000000)", settings={"max_execution_time": "0.2"})
    assert store.query("SELECT 1 AS n").column("n").to_pylist() == [1]


def test_a_large_batch_is_stored_whole_and_once(store: Store) -> None:
    batch = rows("spans", *(span(f"t{number % 97}", f"s{number}", output="é" * 50) for number in range(20_000)))
    store.insert("spans", batch, "large")
    store.insert("spans", batch, "large")
    found = store.query("SELECT count() AS n, uniqExact(span_id) AS spans, sum(length(output)) AS size FROM spans")
    assert found.to_pylist() == [{"n": 20_000, "spans": 20_000, "size": 20_000 * 100}]


def test_thousands_of_ids_fit_into_one_question(store: Store) -> None:
    store.insert("spans", rows("spans", span("t1", "a")), "one")
    ids = [f"{number:032x}" for number in range(3_000)]
    found = store.query("SELECT span_id FROM spans WHERE trace_id IN {ids:Array(String)}", {"ids": [*ids, "t1"]})
    assert found.column("span_id").to_pylist() == ["a"]


def test_readers_run_beside_one_another_and_beside_a_writer(store: Store) -> None:
    """Every answer is a state the table was in: a multiple of a batch's rows."""
    seen: list[int] = []

    def read() -> None:
        seen.extend(count(store, "spans") for _ in range(5))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(5):
        store.insert("spans", rows("spans", *(span(f"t{number}", f"s{row}") for row in range(10))), f"batch-{number}")
    for reader in readers:
        reader.join()
    assert len(seen) == 20
    assert all(each % 10 == 0 for each in seen)
