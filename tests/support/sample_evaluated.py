"""What evaluators said of a run of the sample: a value, a label, an evaluation that failed, and an evaluator's span."""

from __future__ import annotations

from fastapi import FastAPI
from tests.support.sample_runs import HOSTILE, Json, Sample, identifier


def add(app: FastAPI, sample: Sample) -> None:
    """Serve the scores of the run `finished`, whose trace gets the span of an evaluator that failed."""
    run = sample.run("finished")
    spans = sample.spans[run["run_id"]]
    answer = spans[1]
    spans.append(
        {
            **answer,
            "span_id": identifier(run["run_id"], "judge", length=16),
            "name": "judge toxicity",
            "span_class": "evaluator",
            "status": "error",
            "status_message": "the judge's answer is no JSON",
            "error_type": "invalid_output",
        }
    )

    @app.get("/api/v1/scores")
    def scores(run_id: str = "") -> Json:
        given = [
            _score(run, name="relevance", value=0.87, explanation=HOSTILE, span_id=answer["span_id"]),
            _score(run, name="resolved", label="yes"),
            _score(run, name="groundedness", error_type="timeout"),
        ]
        return {"scores": given if run_id == run["run_id"] else [], "next_cursor": None}


def _score(run: Json, **said: object) -> Json:
    return {
        "tenant": run["tenant"],
        "score_id": identifier("score", said["name"]),
        "time": run["ended_at"],
        "value": None,
        "label": None,
        "explanation": None,
        "error_type": None,
        "trace_id": run["trace_id"],
        "span_id": None,
        "run_id": run["run_id"],
        "response_id": None,
        "source": "log",
        **said,
    }
