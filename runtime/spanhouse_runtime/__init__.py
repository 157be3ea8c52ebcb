"""The thin agent runtime: a step loop with limits, budgets, policy, a loop guard and an operator's stop.

    from spanhouse_runtime import Agent, Limits, Price, tool

    tools = [lookup_order, tool(refund, once=True)]
    agent = Agent("support-agent", model, tools, limits=Limits(max_usd=0.5), price=Price(input=0.15, output=0.6))
    result = agent.run("Refund order A-1042", request_id="req-1", tenant="acme")
    print(result.stop_reason, result.output)

Recording needs ``spanhouse.init``; without it the runtime works the same and records nothing.
"""

from spanhouse_runtime.agent import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.credentials import EnvSecrets, FileSecrets, Secret, SecretMissing, Secrets
from spanhouse_runtime.easing import Ease
from spanhouse_runtime.guard import BreakerSettings, CallRefused, Guard, GuardedRun, Rate, current_guarded_run
from spanhouse_runtime.idempotency import MemoryIdempotencyStore
from spanhouse_runtime.idempotency_sqlite import SqliteIdempotencyStore
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.loops import GoalCheck, LoopSettings
from spanhouse_runtime.model import Message, Model, ModelRequest, ModelResponse, ToolCall, Usage
from spanhouse_runtime.money import Price, Prices
from spanhouse_runtime.policy import Condition, Decision, Grant, Policy, Rule
from spanhouse_runtime.policy_file import PolicyFile, load_policy
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.retries import Retries
from spanhouse_runtime.reviews import Review, UndoRefused
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_arguments import IdempotencyKey
from spanhouse_runtime.tool_failure import ResultRefused
from spanhouse_runtime.tool_result import ToolResult
from spanhouse_runtime.tools import Tool, ToolFailure, tool
from spanhouse_runtime.traits import Action, BlastRadius, Reversible, ToolTraits

__all__ = [
    "Action",
    "Agent",
    "BlastRadius",
    "BreakerSettings",
    "CallRefused",
    "Condition",
    "Control",
    "Decision",
    "Ease",
    "EnvSecrets",
    "FileSecrets",
    "GoalCheck",
    "Grant",
    "Guard",
    "GuardedRun",
    "IdempotencyKey",
    "Limits",
    "LoopSettings",
    "MemoryIdempotencyStore",
    "Message",
    "Model",
    "ModelRequest",
    "ModelResponse",
    "Policy",
    "PolicyFile",
    "Price",
    "Prices",
    "Rate",
    "ResultRefused",
    "Retries",
    "Reversible",
    "Review",
    "Rule",
    "RunResult",
    "ScriptedModel",
    "Secret",
    "SecretMissing",
    "Secrets",
    "SqliteIdempotencyStore",
    "Tool",
    "ToolCall",
    "ToolFailure",
    "ToolResult",
    "ToolTraits",
    "UndoRefused",
    "Usage",
    "current_guarded_run",
    "load_policy",
    "tool",
]
