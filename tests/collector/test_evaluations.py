"""Verdicts of evaluators in every place OpenTelemetry GenAI puts them, and those that came to none."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from tests.support.otlp_bodies import START_NS, TRACE_ID, attributes, event, logs, row, rows, span, traces

from spanhouse_collector.normalise import Normaliser

FAILED = Status(code=Status.STATUS_CODE_ERROR)
VERDICT = {
    "gen_ai.evaluation.name": "relevance",
    "gen_ai.evaluation.score.value": 0.75,
    "gen_ai.evaluation.score.label": "relevant",
    "gen_ai.evaluation.explanation": "names the order",
}


def log(name: str, said: dict[str, Any]) -> LogRecord:
    made = LogRecord(time_unix_nano=START_NS, event_name=name, trace_id=TRACE_ID, span_id=(1).to_bytes(8))
    made.attributes.extend(attributes(said))
    return made


def said(score: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(score[key] for key in ("name", "value", "label", "explanation", "error_type"))


@pytest.mark.parametrize(
    "body",
    [
        logs(log("gen_ai.evaluation.result", VERDICT)),
        traces(span(events=[event("gen_ai.evaluation.result", VERDICT)])),
        traces(span(VERDICT)),
    ],
    ids=["log", "event", "span"],
)
def test_a_verdict_is_the_same_score_wherever_it_is_said(body: Any) -> None:
    """And it is joined to the span it came with; sent again it has the same id."""
    [score], [again] = rows(body, table="scores"), rows(body, table="scores")
    assert said(score) == ("relevance", 0.75, "relevant", "names the order", "")
    assert (score["trace_id"], score["span_id"]) == (TRACE_ID.hex(), (1).to_bytes(8).hex())
    assert score == again


@pytest.mark.parametrize(
    ("body", "error", "why"),
    [
        (
            logs(log("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone", "error.type": "timeout"})),
            "timeout",
            "",
        ),
        (
            logs(log("exception", {"gen_ai.evaluation.name": "tone", "exception.type": "KeyError"})),
            "KeyError",
            "",
        ),
        (
            traces(
                span(
                    events=[
                        event(
                            "exception",
                            {
                                "gen_ai.evaluation.name": "tone",
                                "exception.type": "ValueError",
                                "exception.message": "no JSON",
                            },
                        )
                    ]
                )
            ),
            "ValueError",
            "no JSON",
        ),
    ],
    ids=["result", "logged exception", "exception event"],
)
def test_an_evaluator_that_came_to_no_verdict_is_a_score_with_its_error(body: Any, error: str, why: str) -> None:
    [score] = rows(body, table="scores")
    assert said(score) == ("tone", None, "", why, error)


def test_the_failed_span_of_an_evaluator_says_what_its_exception_said() -> None:
    exception = event("exception", {"exception.type": "TimeoutError", "exception.message": "judge took 30 s"})
    body = traces(span({"gen_ai.evaluation.name": "tone"}, events=[exception], status=FAILED))
    [score] = rows(body, table="scores")
    assert said(score) == ("tone", None, "", "judge took 30 s", "timeout")


def test_exceptions_of_other_spans_and_evaluations_under_way_are_no_scores() -> None:
    exception = event("exception", {"exception.type": "KeyError"})
    silent = [
        traces(span(events=[exception], status=FAILED)),
        traces(span({"gen_ai.evaluation.name": "tone"})),
        logs(log("exception", {"exception.type": "KeyError"})),
    ]
    assert "scores" not in Normaliser()(silent).tables


def test_a_span_that_names_an_evaluation_is_an_evaluators_unless_it_is_a_model_call() -> None:
    assert row({"gen_ai.evaluation.name": "tone"})["span_class"] == "evaluator"
    assert row({"gen_ai.evaluation.name": "tone", "gen_ai.operation.name": "chat"})["span_class"] == "llm"
