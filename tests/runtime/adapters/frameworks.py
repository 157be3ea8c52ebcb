"""The same agent in each framework: two tools, a stub model that says what a script says, all of it guarded.

Each function runs the agent once inside a guarded run that is there and returns its last answer. `TOOLS` notes what
the tools were really called with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.runtime.adapters.turns import INPUT_TOKENS, OUTPUT_TOKENS, Script

MADE: list[tuple[str, Any]] = []
"""Calls that reached a tool."""


def look(n: int) -> str:
    """Look at a thing."""
    MADE.append(("look", n))
    if n < 0:
        msg = "there is nothing below zero"
        raise ValueError(msg)
    return f"thing {n % 3}"


def pay(usd: int) -> str:
    """Pay somebody."""
    MADE.append(("pay", usd))
    return f"paid {usd}"


def pydantic_ai(script: Script, *, stream: bool = False) -> str:
    from pydantic_ai import Agent, FunctionToolset  # noqa: PLC0415 - each framework when its turn comes
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart  # noqa: PLC0415
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel  # noqa: PLC0415
    from pydantic_ai.usage import RequestUsage  # noqa: PLC0415

    from spanhouse_runtime.adapters.pydantic_ai import GuardedModel, GuardedToolset  # noqa: PLC0415

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        turn = script.next()
        part = ToolCallPart(turn.tool, turn.arguments) if turn.tool else TextPart(turn.text)
        return ModelResponse(parts=[part], usage=RequestUsage(input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS))

    async def pieces(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        turn = script.next()
        if turn.tool:
            yield {0: DeltaToolCall(turn.tool, json.dumps(turn.arguments))}
        else:
            for piece in turn.text:
                yield piece

    model = GuardedModel(FunctionModel(answer, stream_function=pieces, model_name="stub"))
    agent = Agent(model, toolsets=[GuardedToolset(FunctionToolset([look, pay]))])

    async def streamed() -> str:
        async with agent.run_stream("Work") as result:
            return str(await result.get_output())

    async def whole() -> str:
        return str((await agent.run("Work")).output)

    return asyncio.run(streamed() if stream else whole())


def openai_agents(script: Script, *, stream: bool = False) -> str:
    from agents import (  # noqa: PLC0415
        Agent,
        Model,
        ModelResponse,
        Runner,
        Usage,
        function_tool,
        set_tracing_disabled,
    )
    from openai.types.responses import (  # noqa: PLC0415
        Response,
        ResponseCompletedEvent,
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
        ResponseUsage,
    )
    from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails  # noqa: PLC0415

    from spanhouse_runtime.adapters.openai_agents import GuardedModel, guarded_tools  # noqa: PLC0415

    set_tracing_disabled(True)

    def output() -> list[Any]:
        turn = script.next()
        if turn.tool:
            call_id = f"call-{script.taken}"
            text = json.dumps(turn.arguments)
            return [ResponseFunctionToolCall(arguments=text, call_id=call_id, name=turn.tool, type="function_call")]
        said = ResponseOutputText(annotations=[], text=turn.text, type="output_text")
        message = ResponseOutputMessage(
            id=f"m-{script.taken}", content=[said], role="assistant", status="completed", type="message"
        )
        return [message]

    class Stub(Model):
        model = "stub"

        async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
            usage = Usage(requests=1, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS, total_tokens=110)
            return ModelResponse(output=output(), usage=usage, response_id=f"r-{script.taken}")

        async def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            usage = ResponseUsage(
                input_tokens=INPUT_TOKENS,
                output_tokens=OUTPUT_TOKENS,
                total_tokens=110,
                input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
                output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            )
            response = Response(
                id=f"r-{script.taken}",
                created_at=0,
                model="stub",
                object="response",
                output=output(),
                parallel_tool_calls=False,
                tool_choice="auto",
                tools=[],
                usage=usage,
            )
            yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")

    agent = Agent(
        name="worker",
        model=GuardedModel(Stub()),
        tools=guarded_tools([function_tool(look), function_tool(pay)]),
    )

    async def streamed() -> str:
        result = Runner.run_streamed(agent, "Work", max_turns=50)
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    async def whole() -> str:
        return str((await Runner.run(agent, "Work", max_turns=50)).final_output)

    return asyncio.run(streamed() if stream else whole())


def langgraph(script: Script, *, stream: bool = False) -> str:
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel  # noqa: PLC0415
    from langchain_core.messages import AIMessage, HumanMessage  # noqa: PLC0415
    from langchain_core.tools import tool  # noqa: PLC0415
    from langgraph.graph import START, MessagesState, StateGraph  # noqa: PLC0415
    from langgraph.prebuilt import ToolNode, tools_condition  # noqa: PLC0415

    from spanhouse_runtime.adapters.langchain import guarded_model, guarded_tools  # noqa: PLC0415

    def answers() -> Any:
        while True:
            turn = script.next()
            calls = [{"name": turn.tool, "args": turn.arguments, "id": f"call-{script.taken}"}] if turn.tool else []
            yield AIMessage(
                turn.text,
                tool_calls=calls,
                usage_metadata={
                    "input_tokens": INPUT_TOKENS,
                    "output_tokens": OUTPUT_TOKENS,
                    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
                },
            )

    model = guarded_model(GenericFakeChatModel(messages=answers()))
    tools = guarded_tools([tool(look), tool(pay)])

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def athink(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", athink if stream else think)
    graph.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    start: Any = {"messages": [HumanMessage("Work")]}
    compiled = graph.compile()

    async def streamed() -> Any:
        last = None
        async for state in compiled.astream(start, {"recursion_limit": 100}, stream_mode="values"):
            last = state
        return last

    end: Any = asyncio.run(streamed()) if stream else compiled.invoke(start, {"recursion_limit": 100})
    return str(end["messages"][-1].text)


def mcp(script: Script, *, stream: bool = False) -> str:
    from mcp import Client  # noqa: PLC0415
    from mcp.server import MCPServer  # noqa: PLC0415

    from spanhouse_runtime.adapters.mcp import GuardedMcp  # noqa: PLC0415
    from spanhouse_runtime.guard import current_guarded_run  # noqa: PLC0415

    server = MCPServer("things")
    server.add_tool(look)
    server.add_tool(pay)

    async def loop() -> str:
        guarded = current_guarded_run()
        assert guarded is not None
        async with Client(server) as client:
            tools = GuardedMcp(client)
            while True:
                async with guarded.model("stub", input_tokens=INPUT_TOKENS) as call:
                    turn = script.next()
                    call.response(output=turn.text, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS)
                if not turn.tool:
                    return turn.text
                await tools.call_tool(turn.tool, turn.arguments)

    return asyncio.run(loop())


FRAMEWORKS: dict[str, Callable[..., str]] = {
    "pydantic_ai": pydantic_ai,
    "openai_agents": openai_agents,
    "langgraph": langgraph,
    "mcp": mcp,
}
