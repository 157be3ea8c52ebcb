from __future__ import annotations

from typing import Any

from spanhouse_dashboards import evaluations

NOTHING = {"value": None, "label": None, "explanation": None, "span_id": None}


def span(span_id: str, **more: Any) -> dict[str, Any]:
    return {
        "span_id": span_id,
        "name": f"span {span_id}",
        "span_class": "llm",
        "status": "ok",
        "status_message": None,
        "error_type": None,
        "start": "2026-03-01T12:00:01Z",
        "end": "2026-03-01T12:00:02Z",
        **more,
    }


def score(name: str, **more: Any) -> dict[str, Any]:
    return {"time": "2026-03-01T12:00:05Z", "name": name, **NOTHING, **more}


def test_a_score_names_the_span_it_is_about_and_one_of_the_whole_run_names_none() -> None:
    rows = evaluations.of_run([score("relevance", value=0.5, span_id="a"), score("resolved", label="yes")], [span("a")])
    assert [(row["name"], row["about"], row["error"]) for row in rows] == [
        ("relevance", "span a", None),
        ("resolved", None, None),
    ]


def test_an_evaluator_that_failed_without_a_score_stands_among_them_with_what_it_said() -> None:
    failed = span("judge", span_class="evaluator", status="error", status_message="no JSON", error_type="invalid")
    rows = evaluations.of_run([score("relevance", value=1.0)], [span("a", status="error"), failed])
    assert [(row["name"], row["error"], row["span_id"]) for row in rows] == [
        ("span judge", "no JSON", "judge"),
        ("relevance", None, None),
    ]


def test_a_failed_evaluator_whose_score_is_stored_is_said_once() -> None:
    failed = span("judge", span_class="evaluator", status="error", error_type="timeout")
    rows = evaluations.of_run([score("toxicity", span_id="judge", error_type="timeout")], [failed])
    assert [(row["name"], row["error"]) for row in rows] == [("toxicity", "timeout")]
