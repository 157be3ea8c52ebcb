"""A run that leaves its task is told so first and stopped if it goes on; a judge that fails stops nobody."""

from __future__ import annotations

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse_runtime.agent import Agent
from spanhouse_runtime.loops import GoalCheck, GoalVerdict, GoalView, ModelGoalJudge
from spanhouse_runtime.loops.goal import JudgementError
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel

AWAY = GoalVerdict(on_track=False, confidence=0.9, why="it writes poems")
BACK = GoalVerdict(on_track=True)


def work(n: int) -> str:
    """Do something."""
    return f"line {n} of a poem"


class Judge:
    """Answers with its verdicts in turn, the last one for ever, and keeps what it was shown."""

    def __init__(self, *verdicts: GoalVerdict | Exception) -> None:
        self.verdicts, self.seen = list(verdicts), list[GoalView]()

    def __call__(self, view: GoalView) -> GoalVerdict:
        self.seen.append(view)
        said = self.verdicts[min(len(self.seen), len(self.verdicts)) - 1]
        if isinstance(said, Exception):
            raise said
        return said


def run(judge: Judge, turns: int = 9) -> RunResult:
    model = ScriptedModel([*(calls("work", n=n) for n in range(turns)), says("done")])
    return Agent("worker", model, [work], goal=GoalCheck(judge, every=2)).run("Refund order 7")


def test_it_is_warned_first_and_stopped_at_the_next_look(sink: OtlpSink) -> None:
    judge = Judge(BACK, AWAY)
    result = run(judge)
    assert str(result.stop_reason) == "goal_drift"
    assert "it writes poems" in result.output
    assert len(judge.seen) == 3
    assert judge.seen[0].task == "Refund order 7"
    assert judge.seen[0].actions == ('called work {"n":0}',)
    events = named(recorded(sink, result.run_id)[1], "loop")
    assert [(event["pattern"], event["action"], event["reason"]) for event in events] == [
        ("goal_drift", "warn", "it writes poems"),
        ("goal_drift", "stop", "it writes poems"),
    ]


def test_a_run_that_comes_back_to_its_task_has_a_clean_slate() -> None:
    assert str(run(Judge(AWAY, BACK, AWAY, BACK)).stop_reason) == "finish"


def test_a_judge_that_is_not_sure_stops_nobody() -> None:
    assert str(run(Judge(GoalVerdict(on_track=False, confidence=0.6))).stop_reason) == "finish"


def test_a_judge_that_fails_stops_nobody() -> None:
    assert str(run(Judge(ConnectionError("away"))).stop_reason) == "finish"


def test_a_model_can_be_the_judge() -> None:
    model = ScriptedModel([says('```json\n{"on_track": false, "confidence": 0.8, "why": "poems"}\n```')])
    assert ModelGoalJudge(model)(GoalView("refund", ("called work {}",))) == GoalVerdict(
        on_track=False, confidence=0.8, why="poems"
    )


@pytest.mark.parametrize(
    "answer", ["yes", '{"on_track": "maybe"}', '{"on_track": true, "confidence": NaN}', "{}", "[1]"]
)
def test_an_answer_that_is_no_verdict_is_said_to_be_none(answer: str) -> None:
    with pytest.raises(JudgementError, match="answered no verdict"):
        ModelGoalJudge(ScriptedModel([says(answer)]))(GoalView("refund", ()))
