from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.small_traces import Row, frame, span

from spanhouse.identity import run_id_of
from spanhouse_analysis import frames
from spanhouse_analysis.identity import assign_runs

CLASSES = ["agent", "workflow", "llm", "tool", "step", "other"]


def ids(spans: pl.DataFrame) -> dict[str, str]:
    return dict(assign_runs(frames.prepare(spans)).select("span_id", "run_id").iter_rows())


def test_an_agent_and_all_below_it_are_one_run() -> None:
    found = ids(frame([span("a", "agent"), span("s", "step", "a"), span("m", "llm", "s"), span("h", "other", "m")]))
    assert set(found.values()) == {run_id_of("t1", "a")}


def test_two_agents_under_one_request_are_two_runs_whether_the_request_span_comes_or_not() -> None:
    agents = [span("a", "agent", "http"), span("b", "agent", "http"), span("m", "llm", "b")]
    expected = {"a": run_id_of("t1", "a"), "b": run_id_of("t1", "b"), "m": run_id_of("t1", "b")}
    assert ids(frame(agents)) == expected
    assert ids(frame([*agents, span("http", "other")])) == {**expected, "http": ""}


def test_children_know_their_run_before_its_root_has_come() -> None:
    assert ids(frame([span("m", "llm", "a")]))["m"] == ids(frame([span("m", "llm", "a"), span("a", "agent")]))["m"]


def test_a_sub_agent_behind_http_spans_belongs_to_the_run_above() -> None:
    found = ids(
        frame([span("a", "agent"), span("h", "other", "a"), span("g", "other", "h"), span("b", "agent", "g")]),
    )
    assert set(found.values()) == {run_id_of("t1", "a")}


def test_bare_calls_under_one_parent_are_one_run_which_begins_with_that_parent() -> None:
    calls = [span(name, "llm", "http") for name in "xyz"]
    expected = run_id_of("t1", "http")
    assert set(ids(frame(calls)).values()) == {expected}
    assert set(ids(frame([*calls, span("http", "other")])).values()) == {expected}


def test_parts_whose_parents_are_all_missing_are_united() -> None:
    found = ids(frame([span("x", "llm", "p", at=2), span("y", "tool", "q", at=1)]))
    assert set(found.values()) == {run_id_of("t1", "q")}


def test_a_run_id_said_on_a_span_wins_for_it_and_all_below() -> None:
    rows = [span("f", "agent"), span("a", "agent", "f", run_hint="said"), span("m", "llm", "a"), span("n", "llm", "f")]
    assert ids(frame(rows)) == {"f": run_id_of("t1", "f"), "a": "said", "m": "said", "n": run_id_of("t1", "f")}


def test_the_same_ids_in_another_trace_or_tenant_are_another_run() -> None:
    rows = [span("a", "agent"), span("a", "agent", trace_id="t2"), span("a", "agent", tenant="other")]
    found = assign_runs(frames.prepare(frame(rows)))
    assert found.height == 3
    assert found["run_id"].n_unique() == 2


@st.composite
def forests(draw: st.DrawFn) -> list[Row]:
    """Spans whose parents are any span, present or not, themselves included; so cycles too."""
    count = draw(st.integers(1, 12))
    names = [f"{number:02x}" for number in range(count)]
    parents = st.sampled_from([*names, "gone1", "gone2", ""])
    return [
        {
            "tenant": "default",
            "trace_id": draw(st.sampled_from(["t1", "t2"])),
            "span_id": name,
            "parent_span_id": draw(parents),
            "span_class": draw(st.sampled_from(CLASSES)),
            "run_hint": draw(st.sampled_from(["", "", "", "said"])),
            "start": draw(st.integers(0, 3)),
        }
        for name in names
    ]


@settings(deadline=None)
@given(rows=forests(), data=st.data())
def test_any_spans_in_any_order_get_the_same_runs_and_cycles_end(rows: list[Row], data: st.DataObject) -> None:
    def by_span(ordered: list[Row]) -> dict[str, str]:
        found = assign_runs(pl.DataFrame(ordered))
        assert found.drop("run_id").equals(pl.DataFrame(ordered))
        return dict(zip(found["span_id"], found["run_id"], strict=True))

    expected = by_span(rows)
    assert by_span(data.draw(st.permutations(rows))) == expected
    # Every span that does something is in a run, whatever was lost; context alone is in none.
    assert all(expected[row["span_id"]] for row in rows if row["span_class"] != "other")


@settings(deadline=None)
@given(rows=forests(), data=st.data())
def test_losing_spans_never_fails(rows: list[Row], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.sampled_from(rows), unique_by=lambda row: row["span_id"], min_size=1))
    assert assign_runs(pl.DataFrame(kept)).height == len(kept)


@settings(deadline=None)
@given(depth=st.integers(1, 300))
def test_a_run_as_deep_as_it_likes_is_one_run(depth: int) -> None:
    chain = [
        {
            "tenant": "d",
            "trace_id": "t",
            "span_id": f"{n:04x}",
            "parent_span_id": f"{n - 1:04x}" if n else "",
            "span_class": "agent" if n == 0 else "step",
            "run_hint": "",
            "start": n,
        }
        for n in range(depth)
    ]
    assert set(assign_runs(pl.DataFrame(chain))["run_id"]) == {run_id_of("t", "0000")}
