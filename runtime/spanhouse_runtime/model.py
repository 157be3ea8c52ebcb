"""What a model is to the runtime: one method that takes the conversation and returns the next message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from spanhouse.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call a model asks for.

    Attributes:
        id: the model's id for the call; the answer carries it back.
        arguments: an object, or the model's text for one where it could not be parsed.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation.

    Attributes:
        content: its text; empty for a message that only asks for tools.
        tool_calls: what an assistant's message asks for.
        tool_call_id: on a tool's message, the call it answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    def as_genai(self) -> dict[str, Any]:
        """Return the message in the form of OpenTelemetry's GenAI conventions: a role and a list of parts."""
        if self.role == "tool":
            part = {"type": "tool_call_response", "id": self.tool_call_id, "response": self.content}
            return {"role": "tool", "parts": [part]}
        parts: list[dict[str, Any]] = [{"type": "text", "content": self.content}] if self.content else []
        parts += [
            {
                "type": "tool_call",
                "id": call.id,
                "name": call.name,
                "arguments": call.arguments if isinstance(call.arguments, str) else dict(call.arguments),
            }
            for call in self.tool_calls
        ]
        return {"role": self.role, "parts": parts}


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it: name, description, and the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls; cached tokens are a part of the input, reasoning tokens of the output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked: the conversation so far, the tools at hand, and the most it may write."""

    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    max_output_tokens: int = 4_000

    def estimated_input_tokens(self) -> int:
        """Return a cautious guess at the tokens of this request: one for every three bytes of its text."""
        size = sum(len(canonical_json(message.as_genai()).encode()) for message in self.messages)
        size += sum(len(canonical_json([t.name, t.description, t.parameters]).encode()) for t in self.tools)
        return -(-size // 3)


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What a model answered.

    Attributes:
        tool_calls: what it asks for; none means the text is its last answer.
        usage: None where the provider did not say; the run is then charged what was reserved.
        cost_usd: what the provider says the call cost; None where it does not say.
        finish_reason: ``stop``, ``tool_calls``, ``length`` or ``content_filter``, or the provider's own word.
        model, id: the model that answered and the provider's id for the answer; empty where not said.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = field(default_factory=Usage)
    cost_usd: float | None = None
    finish_reason: str = "stop"
    model: str = ""
    id: str = ""

    def as_message(self) -> Message:
        """Return the answer as the conversation's next message."""
        return Message("assistant", self.text, self.tool_calls)


class Model(Protocol):
    """A model the runtime can drive. ``name`` and ``provider`` are what its spans are filed under."""

    @property
    def name(self) -> str:
        """The model asked for, as its provider spells it."""

    @property
    def provider(self) -> str:
        """Who serves it: ``openai``, ``anthropic``, ``scripted``."""

    def complete(self, request: ModelRequest) -> ModelResponse:
        """Return the answer to a request; called in a worker thread.

        Raises:
            Exception: the call failed. The run ends with ``model_error:<type>``, where the type is what
                ``spanhouse.classification`` makes of the exception: an HTTP status it carries, its class or its name.
        """
