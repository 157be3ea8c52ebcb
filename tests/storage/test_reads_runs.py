"""Lists of runs hold what the filter says, in the order asked for, each run once over all pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.support.rows import NOON, rows, run

from spanhouse_storage import QueryError, Store
from spanhouse_storage.reads import (
    RUN_COLUMNS,
    SORT_KEYS,
    STEP_COLUMNS,
    CursorError,
    RunFilter,
    facets,
    list_runs,
    run_by_id,
    runs_by_request,
    runs_by_session,
    runs_by_trace,
    steps_of_run,
    steps_of_runs,
    where,
)

# That reads work over HTTP as well is proved once, beside the server; here the reads themselves are the subject.
pytestmark = pytest.mark.parametrize("opened", ["embedded"], indirect=True)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def ids(store: Store, wanted: RunFilter, **options: Any) -> list[str]:
    found: list[str] = list_runs(store, wanted, **options).rows.column("run_id").to_pylist()
    return found


def put(store: Store, *given: dict[str, Any]) -> None:
    store.insert("runs", rows("runs", *given), f"runs-{given!r}")


def test_runs_come_newest_first_and_lone_calls_only_when_asked_for(store: Store) -> None:
    put(store, run("a"), run("b", started_at=at(1)), run("c", started_at=at(2), type="call"))
    assert ids(store, RunFilter()) == ["b", "a"]
    assert ids(store, RunFilter(type="call")) == ["c"]
    assert ids(store, RunFilter(type=["call", "agent"])) == ["c", "b", "a"]


@pytest.mark.parametrize("key", SORT_KEYS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_order_pages_through_every_run_once(store: Store, key: str, sign: str) -> None:
    """Equal and unknown values are in it, days apart, as well as floats that no decimal text carries exactly."""
    values: dict[str, list[Any]] = {
        "run_seconds": [None, 0.1, 0.2, 0.1 + 0.2, 1e-300, 3.0, 0.1],
        "cost_usd": [None, 1 / 3, 2 / 3, 0.0, 1e9, 1e-9, None],
        "tokens": [0, 5, 5, 2**40, 1, 3, 2],
    }
    given = []
    for number in range(7):
        columns: dict[str, Any] = dict.fromkeys(("steps", "tool_calls", "tool_errors", "retries", "loops"), number % 3)
        columns |= {"run_seconds": values["run_seconds"][number], "cost_usd": values["cost_usd"][number]}
        columns |= {"input_tokens": values["tokens"][number], "started_at": at(number * 1_000 // 2 * 2)}
        given.append(run(f"r{number}", **columns))
    put(store, *given)
    pages, cursor = [], None
    while True:
        page = list_runs(store, RunFilter(), sort=sign + key, limit=2, cursor=cursor)
        pages.append(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            break
    seen = [row for page in pages for row in page.column("run_id").to_pylist()]
    assert sorted(seen) == [f"r{number}" for number in range(7)]
    assert seen == ids(store, RunFilter(), sort=sign + key)
    column = {"tokens": "input_tokens"}.get(key, key)
    shown = [value if value is not None else 0 for page in pages for value in page.column(column).to_pylist()]
    assert shown == sorted(shown, reverse=bool(sign))


def test_a_run_that_arrives_meanwhile_does_not_shift_the_pages(store: Store) -> None:
    put(store, *(run(f"r{number}", started_at=at(number)) for number in range(4)))
    first = list_runs(store, RunFilter(), limit=2)
    put(store, run("newcomer", started_at=at(10)))
    second = list_runs(store, RunFilter(), limit=2, cursor=first.next_cursor)
    assert second.rows.column("run_id").to_pylist() == ["r1", "r0"]
    assert second.next_cursor is None


def test_a_cursor_belongs_to_its_order(store: Store) -> None:
    put(store, run("a"), run("b"))
    cursor = list_runs(store, RunFilter(), limit=1).next_cursor
    with pytest.raises(CursorError, match="does not continue this list"):
        list_runs(store, RunFilter(), sort="-cost_usd", cursor=cursor)


def test_an_unknown_order_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(QueryError, match="runs cannot be sorted by 'colour': use started_at, run_seconds"):
        list_runs(store, RunFilter(), sort="colour")


def test_a_run_is_listed_as_its_newest_version_says(store: Store) -> None:
    put(store, run("a", status="running", agent="old"))
    put(store, run("a", status="ended", agent="new", version=2))
    assert ids(store, RunFilter(agent="old")) == []
    assert ids(store, RunFilter(status="ended", agent="new")) == ["a"]


RICH = run(
    "rich",
    environment="prod",
    agent="support",
    agent_version="1.2",
    model="gpt-4o",
    models=["gpt-4o", "embed-3"],
    stop_reason="policy_deny:send_email",
    stop_code="policy_deny",
    outcome="failure",
    task="Refund ÖRDER 7",
    task_type="refund",
    variant="B",
    session_id="s1",
    user_id="u1",
    request_id="q1",
    escalated=True,
    input_preview="Where is my parcel?",
    error_message="boom",
)


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(),
        RunFilter(tenant="acme"),
        RunFilter(tenant=["acme", "other"]),
        RunFilter(environment="prod", agent="support", agent_version="1.2", outcome="failure", status="ended"),
        RunFilter(model="embed-3"),
        RunFilter(model=("nothing", "gpt-4o")),
        RunFilter(stop_reason="policy_deny"),
        RunFilter(stop_reason="policy_deny:send_email"),
        RunFilter(stop_reason=["finish", "policy_deny:send_email"]),
        RunFilter(task="Refund ÖRDER 7", task_type="refund", variant="B"),
        RunFilter(session_id="s1", user_id="u1", request_id="q1"),
        RunFilter(tool="send_email"),
        RunFilter(tool=["lookup", "nothing"], since=at(-1), until=at(1)),
        RunFilter(escalated=True),
        RunFilter(text="PARCEL"),
        RunFilter(text="örder"),
        RunFilter(text="boom"),
        RunFilter(since=NOON),
        RunFilter(until=at(1)),
        RunFilter(type=["agent", ""]),
    ],
)
def test_a_run_passes_each_filter_that_is_true_of_it(store: Store, wanted: RunFilter) -> None:
    put(store, RICH)
    steps = [{"tenant": "acme", "run_id": "rich", "seq": n, "tool": t} for n, t in enumerate(("lookup", "send_email"))]
    store.insert("steps", rows("steps", *steps), "steps")
    assert ids(store, wanted) == ["rich"]


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(tenant="other"),
        RunFilter(environment="prod", agent="another"),
        RunFilter(model="gpt"),
        RunFilter(stop_reason="policy_deny:other_tool"),
        RunFilter(stop_reason=["finish"]),
        RunFilter(tool="send_email", since=at(1)),
        RunFilter(tool="unused"),
        RunFilter(escalated=False),
        RunFilter(text="parcels"),
        RunFilter(text="%"),
        RunFilter(since=at(1)),
        RunFilter(until=NOON),
        RunFilter(type="call"),
        RunFilter(request_id="q1' OR 1 = 1 --"),
    ],
)
def test_a_run_fails_each_filter_that_is_not_true_of_it(store: Store, wanted: RunFilter) -> None:
    put(store, RICH)
    store.insert("steps", rows("steps", {"tenant": "acme", "run_id": "rich", "tool": "send_email"}), "steps")
    assert ids(store, wanted) == []


def test_two_filters_fit_into_one_statement(store: Store) -> None:
    put(store, run("a", agent="x", ended_at=at(5)), run("b", agent="y", ended_at=at(50)))
    left, left_values = where(RunFilter(agent="x"), "l.")
    right, right_values = where(RunFilter(agent="y", until=at(60)), "r.", time="ended_at")
    found = store.query(
        f"SELECT l.run_id AS one, r.run_id AS other FROM runs AS l CROSS JOIN runs AS r WHERE {left} AND {right}",
        {**left_values, **right_values},
    )
    assert found.to_pylist() == [{"one": "a", "other": "b"}]


def test_a_run_is_found_by_its_id_whatever_its_type_and_hour(store: Store) -> None:
    put(store, run("a", type="call", agent="x"))
    assert run_by_id(store, "a").column("agent").to_pylist() == ["x"]
    assert run_by_id(store, "a").column_names == list(RUN_COLUMNS)
    assert run_by_id(store, "a", tenant="other").num_rows == run_by_id(store, "b").num_rows == 0


def test_a_withdrawn_run_leads_to_the_run_it_became_part_of(store: Store) -> None:
    put(
        store,
        run("first", is_deleted=1, superseded_by="second", version=2),
        run("second", is_deleted=1, superseded_by="third", version=2),
        run("third", agent="final"),
    )
    assert run_by_id(store, "first").column("run_id").to_pylist() == ["third"]


def test_a_withdrawn_run_without_successor_is_gone(store: Store) -> None:
    put(store, run("a"), run("b"))
    put(store, run("a", is_deleted=1, version=2))
    assert run_by_id(store, "a").num_rows == 0
    assert ids(store, RunFilter()) == ["b"]


def test_withdrawn_runs_that_name_one_another_end(store: Store) -> None:
    put(store, run("a", is_deleted=1, superseded_by="b"), run("b", is_deleted=1, superseded_by="a"))
    assert run_by_id(store, "a").num_rows == 0


def test_a_run_whose_start_moved_to_another_hour_is_one_run(store: Store) -> None:
    """The row under the old hour is a tombstone of the same version as the new row."""
    put(store, run("a", started_at=NOON))
    put(store, run("a", started_at=NOON, is_deleted=1, version=2), run("a", started_at=at(-90), version=2))
    assert ids(store, RunFilter()) == ["a"]
    assert run_by_id(store, "a").column("started_at").cast(pa.timestamp("us", "UTC")).to_pylist() == [at(-90)]


def test_runs_are_found_by_request_session_and_trace_lone_calls_too(store: Store) -> None:
    put(
        store,
        run("a", request_id="q", session_id="s", trace_id="t", started_at=at(1)),
        run("b", request_id="q", session_id="s", trace_id="t", type="call"),
        run("c", request_id="q", tenant="other"),
    )
    for found in (runs_by_session(store, "s"), runs_by_trace(store, "t"), runs_by_request(store, "q", tenant="acme")):
        assert found.column("run_id").to_pylist() == ["b", "a"]
    assert runs_by_request(store, "q", limit=1).num_rows == 1
    assert runs_by_request(store, "").num_rows == runs_by_session(store, "nobody").num_rows == 0


def test_a_run_is_found_by_the_request_its_newest_version_names_alone(store: Store) -> None:
    put(store, run("a", request_id="guess"))
    put(store, run("a", request_id="said", version=2))
    assert (runs_by_request(store, "guess").num_rows, runs_by_request(store, "said").num_rows) == (0, 1)


def test_steps_come_in_order_each_once_and_without_those_withdrawn(store: Store) -> None:
    def step(run_id: str, seq: int, **columns: Any) -> dict[str, Any]:
        return {"tenant": "acme", "run_id": run_id, "seq": seq, "version": 1, **columns}

    store.insert("steps", rows("steps", step("a", 2), step("a", 0), step("a", 1), step("b", 0)), "one")
    store.insert(
        "steps", rows("steps", step("a", 1, version=2, tool="t"), step("a", 2, version=2, is_deleted=1)), "two"
    )
    found = steps_of_run(store, "acme", "a")
    assert list(zip(found.column("seq").to_pylist(), found.column("tool").to_pylist(), strict=True)) == [
        (0, ""),
        (1, "t"),
    ]
    assert found.column_names == list(STEP_COLUMNS)
    both = steps_of_runs(store, [("acme", "b"), ("acme", "a"), ("other", "a")])
    assert both.column("run_id").to_pylist() == ["a", "a", "b"]


def test_facets_are_sorted_each_once_and_never_empty_text(store: Store) -> None:
    put(store, run("a", agent="z", models=["m2", "m1"]), run("b", agent="y", models=["m1"]), run("c", agent=""))
    store.insert("steps", rows("steps", {"run_id": "a", "tool": "t"}), "one")
    found = facets(store)
    assert (found["agent"], found["model"], found["tool"], found["variant"]) == (["y", "z"], ["m1", "m2"], ["t"], [])
    assert set(found) == {"tenant", "environment", "agent", "model", "stop_code", "task_type", "variant", "tool"}
