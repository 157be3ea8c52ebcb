from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from spanhouse_analysis import facts, frames

EPOCH = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOW = EPOCH + timedelta(minutes=5)

Row = dict[str, Any]


def _span(
    span_id: str, span_class: str, parent: str = "", *, at: float = 0.0, seconds: float = 1.0, **columns: object
) -> Row:
    """One span; `at` and `seconds` are its start after EPOCH and its length."""
    start, end = EPOCH + timedelta(seconds=at), EPOCH + timedelta(seconds=at + seconds)
    return {
        "tenant": "default",
        "trace_id": "t1",
        "span_id": span_id,
        "parent_span_id": parent,
        "span_class": span_class,
        "name": span_id,
        "start": start,
        "end": end,
        "is_final": True,
        "received_at": end,
        **columns,
    }


def _frame(rows: list[Row]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    schema = {name: frames.SPANS[name] for name in names}
    return pl.DataFrame([{name: row.get(name, _empty(schema[name])) for name in names} for row in rows], schema=schema)


def _empty(dtype: pl.DataType) -> object:
    if isinstance(dtype, pl.List):
        return []
    return {pl.String: "", pl.Boolean: False}.get(type(dtype))


@pytest.fixture
def span() -> Callable[..., Row]:
    return _span


@pytest.fixture
def frame() -> Callable[[list[Row]], pl.DataFrame]:
    return _frame


@pytest.fixture
def compute() -> Callable[..., list[Row]]:
    def run_rows(*rows: Row, now: datetime = NOW) -> list[Row]:
        """The run rows of these spans, in order of start."""
        return facts.compute(_frame(list(rows)), now).runs.sort("started_at", "run_id").to_dicts()

    return run_rows


@pytest.fixture
def steps() -> Callable[..., list[Row]]:
    def step_rows(*rows: Row, now: datetime = NOW) -> list[Row]:
        return facts.compute(_frame(list(rows)), now).steps.sort("run_id", "seq").to_dicts()

    return step_rows
