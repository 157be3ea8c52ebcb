"""The System page: every record accounted for, or said loudly; and the figure behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.dashboards.conftest import Api
from tests.dashboards.test_pages import opened, shown, table
from tests.support.sample_system import ledger as sample_ledger
from tests.support.sample_system import line

from spanhouse_dashboards import text
from spanhouse_dashboards.figures.ledger import by_minute, ledger, unaccounted

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def state(api: Api) -> Iterator[dict[str, object]]:
    """What of the server's state a test wants otherwise."""
    changes: dict[str, object] = {}
    api.app.state.system = changes
    yield changes
    api.app.state.system = {}


def test_the_page_shows_what_became_of_records_and_what_the_server_is_made_of(state: dict[str, object]) -> None:
    app = opened("system")
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Sent twice"] == "100"
    assert figures["Refused"] == "10"
    assert figures["Waiting"] == "37"
    assert figures["Dead letters"] == "1"
    assert "every record of the last day is accounted for" in shown(app)
    assert table(app, "Source")["Source"].to_list() == ["support", "research"]
    assert table(app, "Reason")["Records"].to_list() == [10]
    assert table(app, "Table")["Size"].to_list() == ["3.0 GiB"]


def test_a_gap_is_said_loudly_with_its_minute(state: dict[str, object]) -> None:
    gap = {"minute": "2026-03-04T12:00:00Z", "received": 9, "accounted": 4, "missing": 5}
    state["ledger"] = {"day": {}, "gaps": [gap]}
    app = opened("system")
    assert "5 records" in app.error[0].value
    assert "is accounted for" not in shown(app)


def test_a_key_of_one_tenant_sees_the_records_and_nothing_of_the_machine(state: dict[str, object]) -> None:
    state |= dict.fromkeys(("journal", "dead_letters", "disks", "store", "schema", "refused_callers", "audit"))
    app = opened("system")
    assert {"Received", "Stored"} < {metric.label for metric in app.metric}
    assert "Waiting" not in {metric.label for metric in app.metric}
    assert "a key of * shows them" in shown(app)
    assert "/data" not in shown(app)


def test_the_last_checkpoint_of_the_audit_trail_is_said(api: Api) -> None:
    assert "The last checkpoint is of 2026-03-01 11:59:30 UTC and verifies" in shown(opened("system"))


def test_what_is_wrong_with_the_checkpoints_is_said_loudly(state: dict[str, object]) -> None:
    state["audit"] = {
        "tenants": 2,
        "last_at": "2026-03-01T11:59:30Z",
        "verifies": False,
        "bad": ["acme"],
        "late": [],
        "anchored": True,
        "copies": "checkpoints cannot be written to /mnt/x",
    }
    app = opened("system")
    assert [error.value for error in app.error] == [
        "checkpoints cannot be written to /mnt/x",
        "The last checkpoint does not verify: acme",
    ]


def test_a_store_that_is_away_leaves_the_rest_of_the_page(state: dict[str, object]) -> None:
    state |= {"reasons": ["the store has been away for 40 s"], "schema": None, "ledger": None}
    state["store"] = {"url": "x", "error": "refused", "bytes": None, "tables": [], "kind": "server", "away_seconds": 40}
    app = opened("system")
    assert [error.value for error in app.error] == [
        "the store has been away for 40 s",
        "The store does not answer: refused",
    ]
    assert "The store does not answer." in shown(app)


def test_nothing_received_is_said_and_no_chart_drawn(api: Api, state: dict[str, object]) -> None:
    api.app.state.empty = True
    assert "Nothing came in this window." in shown(opened("system"))


def test_minutes_are_summed_over_sources_and_a_quiet_one_is_there_as_nothing() -> None:
    minutes = by_minute(sample_ledger(NOON)["minutes"])
    assert [minute["minute"] for minute in minutes] == [NOON - timedelta(minutes=left) for left in range(10, 0, -1)]
    assert [minute["received"] for minute in minutes] == [300, 202, 204, 206, 208, 0, 212, 214, 216, 228]
    assert by_minute([]) == []


def test_the_figure_stacks_what_became_of_records_and_puts_a_gap_on_top() -> None:
    lines = [line("2026-03-04T12:00:00Z", "a", stored=3), line("2026-03-04T12:01:00Z", "a", stored=4)]
    lines[1]["received"] = 9
    minutes = by_minute(lines)
    assert [unaccounted(minute) for minute in minutes] == [0, 5]
    stacked = {trace.name: list(trace.y) for trace in ledger(minutes).data}
    assert stacked == {"Stored": [3, 4], "Unaccounted": [0, 5]}


@pytest.mark.parametrize(("count", "shown_as"), [(None, "—"), (0, "0 B"), (2048, "2.0 KiB"), (6 << 40, "6.0 TiB")])
def test_sizes_are_written_for_people(count: int | None, shown_as: str) -> None:
    assert text.size(count) == shown_as
