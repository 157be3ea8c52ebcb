"""One guard for every model and tool call, whoever drives the agent: Spanhouse's runtime or another framework."""

from spanhouse_runtime.guard.approval import ApprovalAnswer, ApprovalRequest, Approver
from spanhouse_runtime.guard.books import SharedBudgets, Subject
from spanhouse_runtime.guard.breaker import Breakers, BreakerSettings, BreakerState
from spanhouse_runtime.guard.calls import CallRefused, ModelAsk, ToolAsk
from spanhouse_runtime.guard.current import current_guarded_run
from spanhouse_runtime.guard.guard import Guard
from spanhouse_runtime.guard.model_admission import ModelPermit
from spanhouse_runtime.guard.rates import Rate, Rates
from spanhouse_runtime.guard.run import GuardedRun
from spanhouse_runtime.guard.tool_admission import ToolPermit

__all__ = [
    "ApprovalAnswer",
    "ApprovalRequest",
    "Approver",
    "BreakerSettings",
    "BreakerState",
    "Breakers",
    "CallRefused",
    "Guard",
    "GuardedRun",
    "ModelAsk",
    "ModelPermit",
    "Rate",
    "Rates",
    "SharedBudgets",
    "Subject",
    "ToolAsk",
    "ToolPermit",
    "current_guarded_run",
]
