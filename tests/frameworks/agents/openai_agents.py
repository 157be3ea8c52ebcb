"""OpenAI's agents SDK under OpenInference, on chat completions."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: E402
# mypy: ignore-errors

import asyncio

import _shared

made = _shared.provider()
url = _shared.model_api()

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

OpenAIAgentsInstrumentor().instrument(tracer_provider=made)
model = OpenAIChatCompletionsModel(_shared.MODEL, AsyncOpenAI(base_url=url, api_key="unused"))
agent = Agent("weather_agent", model=model, tools=[function_tool(_shared.weather)])
with using_attributes(session_id=_shared.SESSION, user_id=_shared.USER):
    asyncio.run(Runner.run(agent, _shared.ASKED))
made.shutdown()
