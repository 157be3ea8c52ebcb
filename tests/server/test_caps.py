"""A question that costs more than its cap is refused with the cap's name and what to ask instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.served import Served, serving
from tests.support.served_runs import fill

from spanhouse_server.caps import OverCapError, QueryCaps
from spanhouse_storage.contract import QueryError, StorageError, StoreUnavailableError


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("caps") / "data", query_rows=30) as running:
        fill(running)
        yield running


def test_a_question_that_reads_too_many_rows_is_refused_and_a_narrower_one_is_answered(narrow: Served) -> None:
    detail = narrow.refused("/api/v1/runs", 413)["detail"]
    assert detail.startswith("the question had to read more than 30 rows (SPANHOUSE_QUERY_ROWS): ask for a shorter")
    assert narrow.get("/healthz")


CAPS = QueryCaps(seconds=0.5, memory=1_000, rows=2)


@pytest.mark.parametrize(
    ("error", "status", "setting"),
    [
        (QueryError("slow", code=159), 503, "0.5 s (SPANHOUSE_QUERY_SECONDS)"),
        (StoreUnavailableError("memory for query", code=241), 413, "1,000 bytes of memory (SPANHOUSE_QUERY_MEMORY)"),
        (QueryError("rows", code=158), 413, "2 rows (SPANHOUSE_QUERY_ROWS)"),
    ],
)
def test_each_cap_is_named_with_the_setting_that_raises_it(
    error: QueryError | StoreUnavailableError, status: int, setting: str
) -> None:
    judged = CAPS.judged(error)
    assert isinstance(judged, OverCapError)
    assert judged.status == status
    assert setting in str(judged)


@pytest.mark.parametrize(
    "error", [QueryError("syntax", code=62), StoreUnavailableError("(total) memory limit", code=241)]
)
def test_what_is_no_cap_of_the_question_stays_what_it_was(error: QueryError | StoreUnavailableError) -> None:
    assert CAPS.judged(error) is error


def test_time_and_memory_are_held_by_the_engine(narrow: Served) -> None:
    store, endless = narrow.parts.store, "SELECT sum(cityHash64(number)) FROM numbers(100000000000)"
    with pytest.raises(StorageError) as slow:
        store.query(endless, None, QueryCaps(seconds=0.2, memory=1 << 30, rows=1 << 60).settings())
    assert isinstance(CAPS.judged(slow.value), OverCapError)  # type: ignore[arg-type]
    caps = QueryCaps(seconds=30, memory=1 << 20, rows=1 << 60)
    with pytest.raises(StorageError) as large:
        store.query("SELECT groupArray(number) FROM numbers(10000000)", None, caps.settings())
    assert isinstance(CAPS.judged(large.value), OverCapError)  # type: ignore[arg-type]
