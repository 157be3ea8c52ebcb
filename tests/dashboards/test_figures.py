from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go
import pytest

from spanhouse_dashboards import headline, tree
from spanhouse_dashboards.figures.stop_reasons import runs_over_time, stop_reasons
from spanhouse_dashboards.figures.tools import error_rates
from spanhouse_dashboards.figures.trend import trend
from spanhouse_dashboards.figures.waterfall import MIN_SHARE, visible, waterfall


def point(start: str, value: float | None, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    counts = {"numerator": 1, "denominator": 2, "unit": "1", "metric": "completion_rate", "group": {}}
    return {"start": start, "value": value, "low": low, "high": high, **counts, **more}


def span(name: str, parent: str | None, start: float, end: float | None, **more: Any) -> dict[str, Any]:
    def at(seconds: float) -> str:
        return datetime.fromtimestamp(1_700_000_000 + seconds, UTC).isoformat().replace("+00:00", "Z")

    return {
        "span_id": name,
        "parent_span_id": parent,
        "name": name,
        "start": at(start),
        "end": None if end is None else at(end),
        "ms": None if end is None else (end - start) * 1000,
        "span_class": "tool",
        "status": "ok",
        **more,
    }


def bars(figure: go.Figure) -> dict[str, tuple[float, float]]:
    """Return base and length of each span's bar."""
    return {
        data[0]: (base, length)
        for trace in figure.data
        if trace.type == "bar"
        for data, base, length in zip(trace.customdata, trace.base, trace.x, strict=True)
    }


def test_a_time_without_data_breaks_the_line_and_the_band() -> None:
    points = [
        point("2026-03-01T00:00:00Z", 0.5, 0.2, 0.8),
        point("2026-03-01T01:00:00Z", 0.6, 0.3, 0.9),
        point("2026-03-01T02:00:00Z", None, None, None),
        point("2026-03-01T03:00:00Z", 0.4, 0.1, 0.7),
    ]
    figure = trend(points, label="Completed")
    line = figure.data[-1]
    assert list(line.y) == [0.5, 0.6, None, 0.4]
    assert line.connectgaps is False
    band, lone = figure.data[0], figure.data[1]
    assert list(band.y) == [0.8, 0.9, 0.3, 0.2]
    assert list(lone.y) == [0.1, 0.7]


def test_a_trend_of_nothing_is_an_empty_figure() -> None:
    assert list(trend([], label="Completed").data[-1].y) == []


def test_a_ratio_keeps_the_whole_scale_so_that_small_changes_look_small() -> None:
    assert tuple(trend([point("2026-03-01T00:00:00Z", 0.5, 0.2, 0.8)], label="x").layout.yaxis.range) == (0, 1.02)


def test_stop_reasons_are_bars_that_carry_their_reason_longest_on_top() -> None:
    figure = stop_reasons({"finish": 30, "max_steps": 5, "error": 1})
    (bar,) = figure.data
    assert [data[0] for data in bar.customdata] == ["error", "max_steps", "finish"]
    assert list(bar.text)[-1] == "30  ·  83.3%"
    assert len(set(bar.marker.color)) == 3


def test_runs_over_time_stack_by_family_and_sum_the_codes_of_one() -> None:
    start = "2026-03-01T00:00:00Z"
    points = [
        point(start, 0.5, 0, 1, group={"stop_code": "max_steps"}, numerator=2),
        point(start, 0.5, 0, 1, group={"stop_code": "max_usd"}, numerator=3),
        point(start, 0.5, 0, 1, group={"stop_code": "finish"}, numerator=4),
    ]
    assert {trace.name: list(trace.y) for trace in runs_over_time(points).data} == {"finished": [4], "limit": [5]}


def tool(name: str, rate: float | None) -> dict[str, Any]:
    low, high = (None, None) if rate is None else (rate / 2, rate * 1.5)
    return {"tool": name, "calls": 9, "errors": 1, "error_rate": rate, "low": low, "high": high, "denials": 0}


def test_error_rates_are_dots_with_intervals_worst_on_top_and_unknown_ones_without_a_dot() -> None:
    figure = error_rates([tool("good", 0.1), tool("bad", 0.4), tool("new", None)])
    (dots,) = figure.data
    assert list(dots.y) == ["new", "good", "bad"]
    assert list(dots.x) == [None, 0.1, 0.4]
    assert list(dots.error_x.array)[2] == pytest.approx(0.2)
    assert list(figure.layout.yaxis.categoryarray) == ["new", "good", "bad"]


def test_a_span_too_short_to_hit_gets_a_least_width() -> None:
    rows = tree.rows([span("root", None, 0, 100), span("blink", "root", 50, 50.001)])
    assert bars(waterfall(rows))["root"] == (0, 100)
    assert bars(waterfall(rows))["blink"] == pytest.approx((50, 100 * MIN_SHARE))


def test_an_unfinished_span_reaches_to_now_and_is_hatched() -> None:
    rows = tree.rows([span("root", None, 0, None), span("done", "root", 1, 2)])
    figure = waterfall(rows, now=datetime.fromtimestamp(1_700_000_000 + 30, UTC))
    assert bars(figure)["root"] == (0, 30)
    hatching = {
        data[0]: shape
        for data, shape in zip(figure.data[0].customdata, figure.data[0].marker.pattern.shape, strict=True)
    }
    assert hatching == {"root": "/", "done": ""}


def test_failures_are_told_by_a_mark_and_not_by_colour_alone() -> None:
    rows = tree.rows([span("root", None, 0, 9), span("bad", "root", 1, 2, status="error")])
    (marks,) = [trace for trace in waterfall(rows).data if trace.name == "failed"]
    assert [data[0] for data in marks.customdata] == ["bad"]
    assert marks.marker.symbol == "x"


def test_audit_events_share_the_axis_and_a_denial_crosses_all_rows() -> None:
    rows = tree.rows([span("root", None, 0, 10)])
    events = [
        {"name": "run.start", "time": rows[0].span["start"], "decision": None, "tool": None, "status": None},
        {
            "name": "policy.decision",
            "time": span("x", None, 4, 5)["start"],
            "decision": "deny",
            "tool": "t",
            "status": None,
        },
        {
            "name": "policy.decision",
            "time": span("x", None, 6, 7)["start"],
            "decision": "allow",
            "tool": "t",
            "status": None,
        },
    ]
    figure = waterfall(rows, events)
    (lane,) = [trace for trace in figure.data if trace.name == "audit event"]
    assert list(lane.x) == [0, 4, 6]
    assert [shape.x0 for shape in figure.layout.shapes] == [4]


def strings(value: object) -> Iterator[str]:
    """Yield every text in a figure's JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            # Ids and reasons go back to the page as they are; Plotly draws none of them by itself.
            yield from strings(item if key != "customdata" else [row[1:] for row in item])
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def test_foreign_names_cannot_become_markup_in_a_figure() -> None:
    """Plotly reads some HTML in labels and hover texts."""
    name = "<a href='javascript:alert(1)'>x</a>"
    rows = tree.rows([span("root", None, 0, 1) | {"name": name, "status": "error", "status_message": name}])
    for figure in (waterfall(rows), stop_reasons({name: 1}), error_rates([tool(name, 0.5)])):
        drawn = list(strings(json.loads(figure.to_json())))
        assert not any("<a" in text for text in drawn)
        assert any("&lt;a" in text for text in drawn)


def test_many_spans_are_cut_by_depth_and_never_beyond_the_limit() -> None:
    spans = [span("root", None, 0, 100)]
    spans += [span(f"child{index}", "root", index, index + 1) for index in range(20)]
    spans += [span(f"leaf{index}", f"child{index % 20}", index % 20, index % 20 + 1) for index in range(200)]
    rows = tree.rows(spans)
    assert len(visible(rows, 500)) == 221
    assert {row.depth for row in visible(rows, 50)} == {0, 1}
    assert len(visible(rows, 10)) == 10


def test_an_empty_trace_is_an_empty_figure() -> None:
    assert not waterfall([]).data


def test_figures_are_transparent_so_that_they_lie_on_either_theme() -> None:
    for figure in (waterfall([]), stop_reasons({"finish": 1}), error_rates([]), trend([], label="x")):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_a_headline_says_what_it_rests_on_and_no_more_than_is_known() -> None:
    known = point("2026-03-01T00:00:00Z", 0.5, 0.2, 0.8)
    assert headline.evidence(known) == "1 of 2 · 95% interval 20.0% to 80.0%"
    assert headline.evidence(known | {"low": None}) == "1 of 2"
    assert headline.evidence(known | {"low": None, "sampled": True}) == "1 of 2 · estimated from sampled runs"
    assert headline.evidence(None) == headline.evidence(known | {"value": None}) == "no data in this window"
    assert headline.link_label(headline.CARDS[0], known) == "1 of 2 · Runs that did not"
    assert headline.link_label(headline.CARDS[0], None) == "Runs that did not"


def test_a_sum_rests_on_runs_and_is_never_read_as_a_share() -> None:
    cost = point("2026-03-01T00:00:00Z", 3.5, None, None, unit="usd", numerator=3.5, denominator=38)
    assert headline.counted(cost) == "38 runs"
    assert headline.counted(cost | {"denominator": 1}) == "1 run"
    assert headline.counted(cost | {"denominator": None}) == ""


def test_stop_reasons_are_counted_with_their_subjects_apart() -> None:
    groups = [{"stop_code": "policy_deny", "stop_subject": "send_email"}, {"stop_code": "finish", "stop_subject": ""}]
    points = [point("2026-03-01T00:00:00Z", 1, None, None, group=group, numerator=2) for group in (*groups, groups[1])]
    assert headline.stop_reasons(points) == {"policy_deny:send_email": 2, "finish": 4}


def test_a_sparkline_needs_two_known_values() -> None:
    points = [point("2026-03-01T00:00:00Z", 0.5, 0, 1), point("2026-03-01T01:00:00Z", None, None, None)]
    assert headline.sparkline(points, "completion_rate") is None
    assert headline.sparkline([*points, point("2026-03-01T02:00:00Z", 0.7, 0, 1)], "completion_rate") == [0.5, 0.7]
