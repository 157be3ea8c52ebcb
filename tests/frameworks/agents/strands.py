"""strands-agents' own instrumentation, with a scripted model."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ARG002, E402
# mypy: ignore-errors

import _shared

made = _shared.provider()

from strands import Agent, tool
from strands.models.model import Model


class Scripted(Model):
    """Asks for the tool first, then answers, in the shape of Bedrock's stream."""

    def update_config(self, **config):
        """Keep none."""

    def get_config(self):
        return {"model_id": _shared.MODEL}

    async def structured_output(self, *_, **__):
        raise NotImplementedError
        yield {}

    async def stream(self, messages, tool_specs=None, system_prompt=None, **_):
        asked = any("toolResult" in block for message in messages for block in message["content"])
        sent, said, cached, _ = _shared.USAGE[int(asked)]
        yield {"messageStart": {"role": "assistant"}}
        if asked:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": _shared.ANSWER}}}
        else:
            yield {"contentBlockStart": {"start": {"toolUse": {"name": "weather", "toolUseId": "call_1"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"city": "Paris"}'}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if asked else "tool_use"}}
        usage = {"inputTokens": sent, "outputTokens": said, "totalTokens": sent + said, "cacheReadInputTokens": cached}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 5}}}


ids = {"session.id": _shared.SESSION, "user.id": _shared.USER}
agent = Agent(
    model=Scripted(), tools=[tool(_shared.weather)], name="weather_agent", trace_attributes=ids, callback_handler=None
)
agent(_shared.ASKED)
made.shutdown()
