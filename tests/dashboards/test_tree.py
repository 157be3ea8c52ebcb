from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spanhouse_dashboards import tree


def span(name: str, parent: str | None, start: int, **more: Any) -> dict[str, Any]:
    return {
        "span_id": name,
        "parent_span_id": parent,
        "start": f"2026-03-01T12:00:{start:02d}Z",
        "span_class": "tool",
        "status": "ok",
        "input_tokens": None,
        "output_tokens": None,
        "cost_usd": None,
        **more,
    }


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 59)), max_size=16))
def test_every_span_has_exactly_one_row_whatever_its_parents_are(links: list[tuple[int, int]]) -> None:
    """Parents may be missing, be the span itself, or close a circle."""
    spans = [span(str(index), str(parent), start) for index, (parent, start) in enumerate(links)]
    rows = tree.rows(spans)
    assert sorted(str(row.span["span_id"]) for row in rows) == sorted(str(index) for index in range(len(links)))
    for index, row in enumerate(rows):
        assert row.parent is None or row.parent < index
        assert row.depth == (0 if row.parent is None else rows[row.parent].depth + 1)
        assert row.children == sum(other.parent == index for other in rows)


def test_siblings_come_in_order_of_start_and_children_right_below_their_parent() -> None:
    spans = [span("late", "root", 9), span("early", "root", 2), span("inner", "early", 5), span("root", None, 1)]
    assert [row.span["span_id"] for row in tree.rows(spans)] == ["root", "early", "inner", "late"]


def test_a_parent_sums_what_is_below_it_and_counts_no_usage_twice() -> None:
    """An agent span often repeats the usage of its calls."""
    spans = [
        span("root", None, 0, span_class="agent", input_tokens=30, output_tokens=5, cost_usd=0.03),
        span("first", "root", 1, span_class="model", input_tokens=10, output_tokens=2, cost_usd=0.01),
        span("second", "root", 2, span_class="model", input_tokens=20, output_tokens=3, cost_usd=0.02, status="error"),
    ]
    root = tree.rows(spans)[0]
    assert (root.tokens, root.cost_usd, root.errors) == (35, 0.03, 1)


def test_an_agent_without_known_calls_keeps_its_own_usage() -> None:
    (root,) = tree.rows([span("root", None, 0, span_class="agent", input_tokens=7)])
    assert root.tokens == 7


def test_sums_of_nothing_known_are_unknown() -> None:
    root = tree.rows([span("root", None, 0), span("tool", "root", 1)])[0]
    assert (root.tokens, root.cost_usd) == (None, None)


def test_a_thousand_levels_deep_is_no_trouble() -> None:
    spans = [span(str(level), str(level - 1) if level else None, level % 60) for level in range(1000)]
    rows = tree.rows(spans)
    assert max(row.depth for row in rows) == 999
