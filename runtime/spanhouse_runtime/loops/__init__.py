"""Runs that go round in circles, noticed while they run."""

from spanhouse_runtime.loops.goal import GoalCheck, GoalVerdict, GoalView, ModelGoalJudge
from spanhouse_runtime.loops.guard import LoopGuard
from spanhouse_runtime.loops.settings import LoopSettings
from spanhouse_runtime.loops.verdict import LoopAction, LoopPattern, LoopVerdict

__all__ = [
    "GoalCheck",
    "GoalVerdict",
    "GoalView",
    "LoopAction",
    "LoopGuard",
    "LoopPattern",
    "LoopSettings",
    "LoopVerdict",
    "ModelGoalJudge",
]
