"""Batches are split so that no insert touches more partitions than the engine takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rows import NOON, rows

from spanhouse_storage.partitions import MAX_PARTITIONS, parts
from spanhouse_storage.tables import PARTITION_TIME, SCHEMAS

SUNDAY_NIGHT = datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_week_is_one_part_with_the_callers_own_token(table: str) -> None:
    batch = rows(table, {}, {})
    assert [(part.num_rows, token) for part, token in parts(table, batch, "token")] == [(2, "token")]


@pytest.mark.parametrize(("table", "column"), PARTITION_TIME.items())
def test_years_are_several_parts_with_tokens_of_their_own(table: str, column: str) -> None:
    batch = rows(table, *({column: NOON + timedelta(weeks=week)} for week in range(120)))
    assert [(part.num_rows, token) for part, token in parts(table, batch, "t")] == [
        (50, "t/0"),
        (50, "t/1"),
        (20, "t/2"),
    ]


@given(st.lists(st.datetimes(datetime(1950, 1, 1), datetime(2110, 1, 1)), max_size=150))  # noqa: DTZ001
def test_parts_hold_every_row_once_and_few_weeks_each(times: list[datetime]) -> None:
    batch = pa.table({"started_at": pa.array(times, pa.timestamp("ns", "UTC"))})
    split = list(parts("runs", batch, "t"))
    assert sorted(
        time for part, _ in split for time in part.column("started_at").cast(pa.int64()).to_pylist()
    ) == sorted(batch.column("started_at").cast(pa.int64()).to_pylist())
    for part, _ in split:
        naive = part.column("started_at").cast(pa.timestamp("us")).to_pylist()
        assert len({(time - timedelta(days=time.weekday())).date() for time in naive}) <= MAX_PARTITIONS
    assert len({token for _, token in split}) == len(split)


def test_weeks_begin_on_monday() -> None:
    """A Sunday and the Monday after it count as two, so 50 such pairs are more than 50 weeks."""
    times = [SUNDAY_NIGHT + timedelta(weeks=week, seconds=second) for week in range(50) for second in (0, 2)]
    batch = rows("runs", *({"started_at": time} for time in times))
    assert [part.num_rows for part, _ in parts("runs", batch, "t")] == [99, 1]
