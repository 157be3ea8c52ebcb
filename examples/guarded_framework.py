"""A Pydantic AI agent under the guard: its own loop, Spanhouse's limits, policy and stop reasons.

pip install 'spanhouse[runtime]' pydantic-ai-slim
spanhouse up                             # in another terminal; without it the guard works the same and records nothing
python examples/guarded_framework.py
"""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import spanhouse as sh
from spanhouse_runtime import Condition, Decision, Guard, Limits, Policy, Rule
from spanhouse_runtime.adapters.pydantic_ai import GuardedModel, GuardedToolset


def lookup(order_id: str) -> str:
    """Look an order up."""
    return f"order {order_id}: delivered"


def refund(order_id: str, usd: float) -> str:
    """Pay an order back."""
    return f"{usd} USD paid back for {order_id}"


def think(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Ask for one tool after another; a real model stands here."""
    wishes = [
        ToolCallPart("lookup", {"order_id": "A-1001"}),
        ToolCallPart("refund", {"order_id": "A-1001", "usd": 250.0}),
    ]
    turn = sum(isinstance(message, ModelResponse) for message in messages)
    return ModelResponse(parts=[wishes[turn] if turn < len(wishes) else TextPart("done")])


guard = Guard(
    "support-agent",
    limits=Limits(max_steps=10, max_tool_calls=20),
    policy=Policy(
        rules=(
            Rule(
                name="large refunds", tool="refund", arguments={"usd": Condition(at_least=100)}, decision=Decision.DENY
            ),
        ),
        allow=("lookup", "refund"),
    ),
)
agent = Agent(GuardedModel(FunctionModel(think)), toolsets=[GuardedToolset(FunctionToolset([lookup, refund]))])


def main() -> None:
    """Run one task and say why it stopped."""
    sh.init(service="support-agent")
    with guard.run("refund", request_id="req-guarded-framework", tenant="acme") as guarded:
        asyncio.run(agent.run("Refund order A-1001"))
    sh.shutdown()
    print(f"stopped by {guarded.run.stop_reason}")


if __name__ == "__main__":
    main()
