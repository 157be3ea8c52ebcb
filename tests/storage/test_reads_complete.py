"""A run's record is known to be complete, known to lack something, or not known to be either."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.rows import NOON, rows, run

from spanhouse_storage import Store
from spanhouse_storage.reads import RunFilter, list_runs, run_by_id

pytestmark = pytest.mark.parametrize("opened", ["embedded"], indirect=True)


@pytest.fixture
def filled(store: Store) -> Store:
    """Runs: whole, short of a span, of one or of all audit events, of an older SDK, and of no SDK of ours."""
    store.insert(
        "runs",
        rows(
            "runs",
            run("whole", spans_stored=3, spans_expected=3, audit_expected=2),
            run("no span", spans_stored=2, spans_expected=3, audit_expected=2),
            run("no event", spans_stored=3, spans_expected=3, audit_expected=3),
            run("no trail", spans_stored=3, spans_expected=3, audit_expected=1),
            run("old", spans_stored=3, spans_expected=3),
            run("foreign", spans_stored=3),
        ),
        "runs",
    )
    # The second event of each run was sent twice.
    events = [event(name, seq) for name in ("whole", "no span", "no event", "control") for seq in (1, 2, 2)]
    store.insert("audit_events", rows("audit_events", *events), "events")
    return store


def event(run_id: str, seq: int) -> dict[str, Any]:
    return {"tenant": "acme", "stream": run_id, "run_id": run_id, "seq": seq, "time": NOON, "received_at": NOON}


def ids(store: Store, wanted: RunFilter) -> list[str]:
    return sorted(list_runs(store, wanted).rows.column("run_id").to_pylist())


def test_audit_events_are_counted_when_a_run_is_read_and_a_repeat_counts_once(filled: Store) -> None:
    counted = list_runs(filled, RunFilter()).rows.to_pylist()
    assert {row["run_id"]: row["audit_stored"] for row in counted} == {
        "whole": 2, "no span": 2, "no event": 2, "no trail": 0, "old": 0, "foreign": 0
    }  # fmt: skip
    assert run_by_id(filled, "whole").column("audit_stored").to_pylist() == [2]
    assert run_by_id(filled, "nobody").column("audit_stored").to_pylist() == []


def test_a_run_of_which_that_is_not_known_is_neither_complete_nor_incomplete(filled: Store) -> None:
    assert ids(filled, RunFilter(complete=True)) == ["old", "whole"]
    assert ids(filled, RunFilter(complete=False)) == ["no event", "no span", "no trail"]


def test_completeness_goes_with_other_conditions(filled: Store) -> None:
    assert ids(filled, RunFilter(complete=False, since=NOON + timedelta(days=1))) == []
    assert ids(filled, RunFilter(complete=False, since=NOON - timedelta(days=1), text="span")) == []
    assert ids(filled, RunFilter(complete=True, tenant="nobody")) == []
