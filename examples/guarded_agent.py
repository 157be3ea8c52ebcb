"""An agent on the runtime that is stopped by its budget, its policy, or an operator, whichever comes first.

spanhouse up                        # in another terminal
python examples/guarded_agent.py    # while it runs:  spanhouse control stop agent guarded-agent --reason "enough"
"""

from __future__ import annotations

import spanhouse as sh
from spanhouse_runtime import (
    Agent,
    Control,
    Decision,
    Limits,
    ModelRequest,
    ModelResponse,
    Policy,
    Price,
    Rule,
    ScriptedModel,
    ToolCall,
    Usage,
)


def search(query: str) -> str:
    """Search the web."""
    return f"three pages about {query}"


def delete_account(user_id: str) -> str:
    """Delete an account: the policy below never lets it come to this."""
    return f"{user_id} is gone"


WISHES = (
    ("search", {"query": "heat pumps in Germany"}),
    ("search", {"query": "heat pumps in France"}),
    ("delete_account", {"user_id": "u-17"}),
)


def think(request: ModelRequest, turn: int) -> ModelResponse:
    """Ask for one tool after another; a real model's answer has the same form."""
    name, arguments = WISHES[turn]
    usage = Usage(input_tokens=300 * len(request.messages), output_tokens=40)
    return ModelResponse(tool_calls=(ToolCall(id=f"call-{turn}", name=name, arguments=arguments),), usage=usage)


def main() -> None:
    """Run one task and say why it stopped."""
    sh.init(service="guarded-agent")
    with sh.ControlPoller(sh.Client()) as flags:
        agent = Agent(
            "guarded-agent",
            ScriptedModel(think, name="gpt-4o-mini", provider="openai"),
            [search, delete_account],
            limits=Limits(max_steps=10, max_usd=0.05),
            price=Price(input=0.15, output=0.60),
            policy=Policy(
                rules=(Rule(name="no deletions", tool="delete_*", decision=Decision.DENY, why="a person does that"),),
                allow=("search",),
            ),
            control=Control(flags),
        )
        result = agent.run("Find out about heat pumps, then clean up.", request_id="req-guarded", tenant="acme")
    sh.shutdown()
    print(f"stopped by {result.stop_reason}: {result.output}")


if __name__ == "__main__":
    main()
