"""Answers as frames on a real server: typed, whole, and the same rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from tests.support.process import free_port
from tests.support.served import Served
from tests.support.served_runs import FILLERS

from spanhouse import Client, ServerError
from spanhouse import client as client_module
from spanhouse.frames import Answer
from spanhouse_analysis.times import rfc3339

UTC_US = pa.timestamp("us", "UTC")

ANSWERS = [
    ("runs", {}),
    ("runs", {"sort": "-cost_usd"}),
    ("runs", {"agent": "filler-agent", "limit": 7}),
    ("audit", {}),
    ("audit", {"name": "policy.decision"}),
    ("tools", {}),
    ("models", {}),
    ("scores", {}),
    ("sessions", {}),
    ("sessions", {"sort": "-cost_usd"}),
]
OF_RUN = ["spans", "steps"]


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """A client without a token, as in a notebook on the same machine."""
    with Client(served.url) as connected:
        yield connected


def as_json(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as the API's JSON has them, objects as JSON text."""
    return [
        {name: rfc3339(value) if hasattr(value, "tzinfo") else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def same(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Assert that rows are equal; objects may be JSON text."""
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        for name, value in theirs.items():
            mine_value = json.loads(mine[name]) if isinstance(value, dict) and mine[name] else mine[name]
            assert mine_value == value or (value == {} and mine_value is None), name
        assert set(theirs) <= set(mine)


def all_rows(served: Served, method: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every row of a list by its JSON pages."""
    key = "events" if method == "audit" else method
    if method in {"tools", "models"} or "limit" in filters:
        rows: list[dict[str, Any]] = served.get(f"/api/v1/{method}", **filters)[key]
        return rows
    return served.pages(f"/api/v1/{method}", key, limit=9, **filters)


@pytest.mark.parametrize(("method", "filters"), ANSWERS, ids=str)
def test_a_frame_has_all_rows_of_all_pages(
    served: Served, client: Client, method: str, filters: dict[str, Any]
) -> None:
    """In the order of the list, with the values of the JSON; with a limit, that page."""
    answer: Answer = getattr(client, method)(**filters)
    table = answer.arrow()
    same(as_json(table), all_rows(served, method, filters))
    assert answer.frame().columns == table.column_names
    assert len(answer.pandas()) == table.num_rows


@pytest.mark.parametrize("method", OF_RUN)
def test_spans_and_steps_of_a_run_are_frames_too(served: Served, client: Client, method: str) -> None:
    """With content where it is asked for."""
    run_id = served.get("/api/v1/runs/req-refund")["run_id"]
    same(as_json(getattr(client, method)(run_id).arrow()), served.get(f"/api/v1/runs/{run_id}/{method}")[method])
    if method == "spans":
        whole = client.spans(run_id, content=True).frame()
        assert "Refund order 1842" in whole["input"].to_list()
        assert set(json.loads(whole["attributes"][0])) >= {"tenant.id"}


def test_columns_have_types(client: Client) -> None:
    """Times are UTC, lists lists, counts whole numbers, objects text."""
    schema = client.runs().arrow().schema
    assert schema.field("started_at").type == UTC_US
    assert schema.field("models").type == pa.list_(pa.string())
    assert schema.field("steps").type == pa.uint32()
    assert schema.field("budget").type == pa.string()
    assert schema.field("escalated").type == pa.bool_()
    frame = client.runs(since="3650d").frame()
    assert frame.schema["started_at"] == pl.Datetime("us", "UTC")
    assert frame["run_id"].n_unique() == frame.height > FILLERS


@pytest.mark.parametrize("method", ["runs", "audit", "tools", "models", "scores", "sessions"])
def test_an_empty_answer_has_the_same_columns(client: Client, method: str) -> None:
    """Code that selects a column works on a day without runs."""
    nothing = getattr(client, method)(tenant="nobody").arrow()
    assert nothing.num_rows == 0
    assert nothing.schema == getattr(client, method)().arrow().schema


def test_metric_points_have_their_groups_as_columns(client: Client) -> None:
    """One column a group, named as it was asked for, also where there is no point."""
    frame = client.metrics(["runs", "completion_rate"], by=["agent", "tenant"], until="2026-02-01").frame()
    assert frame.columns[:3] == ["metric", "agent", "tenant"]
    found = frame.filter(pl.col("metric") == "runs", pl.col("agent") == "filler-agent")["value"].to_list()
    assert found == [FILLERS]
    none = client.metrics("runs", by="agent", until="2001-01-01").frame()
    assert none.filter(pl.col("agent") == "x").is_empty()


def test_progress_is_told(client: Client) -> None:
    """Rows so far, and of how many."""
    told: list[tuple[int, int | None]] = []
    table = client.runs().arrow(progress=lambda rows, of: told.append((rows, of)))
    assert told[-1] == (table.num_rows, table.num_rows)


def test_a_misspelt_filter_names_the_nearest(client: Client) -> None:
    """As everywhere in the API: never ignored."""
    with pytest.raises(ServerError, match="did you mean 'agent'"):
        client.runs(agnt="x")
    with pytest.raises(ServerError, match="did you mean 'tenant'"):
        client.export("runs", tenat="x")
    with pytest.raises(ServerError, match="did you mean 'spans'"):
        client.export("spas")


def test_a_server_that_is_away_is_named() -> None:
    """With its URL and how to start one."""
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away) as gone, pytest.raises(ServerError, match=f"{away}.*spanhouse up"):
        gone.runs(since="7d").frame()


def test_an_answer_is_still_the_page_of_json(client: Client) -> None:
    """Who used the dictionary before goes on as before."""
    page = client.runs(limit=3)
    assert isinstance(page, dict)
    assert len(page["runs"]) == 3
    assert client_module.Client is Client
