"""Google's ADK with a scripted model."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: ANN001, ANN201, ARG002, E402, FBT002
# mypy: ignore-errors

import asyncio

import _shared

made = _shared.provider()

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types


class Scripted(BaseLlm):
    """Asks for the tool first, then answers."""

    async def generate_content_async(self, llm_request, stream=False):
        asked = any(part.function_response for content in llm_request.contents for part in content.parts or [])
        sent, said, cached, thought = _shared.USAGE[int(asked)]
        part = (
            types.Part(text=_shared.ANSWER)
            if asked
            else types.Part(function_call=types.FunctionCall(id="call_1", name="weather", args={"city": "Paris"}))
        )
        usage = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=sent,
            candidates_token_count=said - thought,
            thoughts_token_count=thought,
            cached_content_token_count=cached,
            total_token_count=sent + said,
        )
        content = types.Content(role="model", parts=[part])
        yield LlmResponse(content=content, usage_metadata=usage, finish_reason=types.FinishReason.STOP)


async def main():
    agent = LlmAgent(name="weather_agent", model=Scripted(model="gemini-2.5-flash"), tools=[_shared.weather])
    runner = InMemoryRunner(agent, app_name="weather")
    await runner.session_service.create_session(app_name="weather", user_id=_shared.USER, session_id=_shared.SESSION)
    message = types.Content(role="user", parts=[types.Part(text=_shared.ASKED)])
    async for _ in runner.run_async(user_id=_shared.USER, session_id=_shared.SESSION, new_message=message):
        pass


asyncio.run(main())
made.shutdown()
