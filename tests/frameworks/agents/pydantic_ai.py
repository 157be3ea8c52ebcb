"""pydantic-ai's own instrumentation, with its function model."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: ANN001, ANN201, E402
# mypy: ignore-errors

import _shared

made = _shared.provider()

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.usage import RequestUsage


def answer(messages, info):
    """Ask for the tool first, then answer."""
    asked = len(messages) > 1
    sent, said, cached, _ = _shared.USAGE[int(asked)]
    part = TextPart(_shared.ANSWER) if asked else ToolCallPart("weather", {"city": "Paris"}, "call_1")
    usage = RequestUsage(input_tokens=sent, output_tokens=said, cache_read_tokens=cached)
    return ModelResponse(parts=[part], usage=usage, model_name=_shared.MODEL, finish_reason="stop")


Agent.instrument_all(InstrumentationSettings(tracer_provider=made))
agent = Agent(
    FunctionModel(answer, model_name=_shared.MODEL),
    name="weather_agent",
    tools=[_shared.weather],
)
agent.run_sync(_shared.ASKED, conversation_id=_shared.SESSION)
made.shutdown()
