"""LlamaIndex's function agent under OpenInference, with a scripted model."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: ANN001, ANN003, ANN201, ANN202, ARG002, E402, FBT002
# mypy: ignore-errors

import asyncio

import _shared

made = _shared.provider()

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, MessageRole
from llama_index.core.llms import CompletionResponse
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from openinference.instrumentation import using_attributes
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

LlamaIndexInstrumentor().instrument(tracer_provider=made)


class Scripted(FunctionCallingLLM):
    """Asks for the tool first, then answers."""

    @property
    def metadata(self):
        return LLMMetadata(model_name=_shared.MODEL, is_function_calling_model=True)

    def _answer(self, messages):
        asked = any(message.role == MessageRole.TOOL for message in messages)
        sent, said, _, _ = _shared.USAGE[int(asked)]
        usage = {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said}
        message = ChatMessage(role="assistant", content=_shared.ANSWER if asked else "")
        return ChatResponse(message=message, raw={"usage": usage, "asked": asked})

    @llm_chat_callback()
    async def achat(self, messages, **kwargs):
        return self._answer(messages)

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        return self._answer(messages)

    async def achat_with_tools(self, tools, user_msg=None, chat_history=None, **kwargs):
        return await self.achat(list(chat_history or []))

    def _prepare_chat_with_tools(self, tools, user_msg=None, chat_history=None, **kwargs):
        return {"messages": list(chat_history or [])}

    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **kwargs):
        if response.raw["asked"]:
            return []
        return [ToolSelection(tool_id="call_1", tool_name="weather", tool_kwargs={"city": "Paris"})]

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=_shared.ANSWER)

    async def acomplete(self, prompt, formatted=False, **kwargs):
        return self.complete(prompt)

    def stream_chat(self, messages, **kwargs):
        yield self._answer(messages)

    async def astream_chat(self, messages, **kwargs):
        async def once():
            yield self._answer(messages)

        return once()

    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)

    async def astream_complete(self, prompt, formatted=False, **kwargs):
        async def once():
            yield self.complete(prompt)

        return once()


async def main():
    agent = FunctionAgent(name="weather_agent", tools=[_shared.weather], llm=Scripted(), streaming=False)
    await agent.run(_shared.ASKED)


with using_attributes(session_id=_shared.SESSION, user_id=_shared.USER):
    asyncio.run(main())
made.shutdown()
