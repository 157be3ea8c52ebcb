"""One call of a model, written down as it happens: span with messages and usage, audit event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry.trace import SpanKind

from spanhouse import attributes as keys
from spanhouse.errors import ErrorType
from spanhouse.failures import record_exception
from spanhouse.messages import Message, to_genai
from spanhouse.spans import CallSpan

Status = Literal["ok", "error", "timeout"]


class ModelCall:
    """A model call as a context manager; made by ``spanhouse.model_call``."""

    def __init__(
        self,
        model: str,
        *,
        provider: str | None = None,
        messages: str | Iterable[str | Message] | None = None,
        system: Any = None,  # noqa: ANN401 - text or parts
        tools: Sequence[Any] | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.model = model
        self.provider = provider
        self._messages = messages
        self._system = system
        self._tools = tools
        self._max_tokens = max_tokens
        self._said: dict[str, Any] = {}
        self._status: Status = "ok"
        self._error_type: ErrorType | None = None

    def __enter__(self) -> Self:
        self._call = CallSpan(
            f"chat {self.model}",
            SpanKind.CLIENT,
            {
                keys.OPERATION: "chat",
                keys.REQUEST_MODEL: self.model,
                keys.PROVIDER: self.provider,
                keys.REQUEST_MAX_TOKENS: self._max_tokens,
            },
        )
        content = self._call.content
        if self._messages is not None:
            content.set(keys.INPUT_MESSAGES, to_genai(self._messages))
        if self._system is not None:
            parts = [{"type": "text", "content": self._system}] if isinstance(self._system, str) else self._system
            content.set(keys.SYSTEM_INSTRUCTIONS, parts)
        if self._tools:
            content.set(keys.TOOL_DEFINITIONS, list(self._tools))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._error_type = record_exception(self._call.span, error)
            self._status = "timeout" if self._error_type is ErrorType.TIMEOUT else "error"
        if self._call.run is not None:
            self._call.run.event(
                "model.call",
                model=self._said.get("model") or self.model,
                provider=self.provider,
                status=self._status,
                duration_ms=self._call.elapsed_ms(),
                input_tokens=self._said.get("input_tokens"),
                output_tokens=self._said.get("output_tokens"),
                cost_usd=self._said.get("cost_usd"),
                finish_reasons=self._said.get("finish_reasons"),
                error_type=self._error_type,
            )
        self._call.end()

    def response(
        self,
        *,
        output: str | Message | Iterable[str | Message] | None = None,
        model: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        finish_reasons: Sequence[str] | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cost_usd: float | None = None,
        price_version: str | None = None,
    ) -> None:
        """Record what came back. May be called again, for example as a stream goes on; later values stand.

        Args:
            output: text, a chat message, or several.
            model: the model that answered, where the provider says so.
            id: the provider's response id.
            finish_reasons: one a choice, such as "stop", "length", "tool_calls".
            input_tokens: all tokens sent, those read from the provider's cache included.
            output_tokens: all tokens generated, reasoning included.
            cache_read_tokens: the part of the input read from the cache.
            cache_write_tokens: the part of the input written to it.
            reasoning_tokens: the part of the output that was reasoning.
            cost_usd: what the call cost, where known; unknown is not 0.
            price_version: of the price list the cost is from, where it is from one.
        """
        reasons = None if finish_reasons is None else list(finish_reasons)
        said = {
            "model": model,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cost_usd": cost_usd,
            "finish_reasons": reasons,
        }
        self._said.update({key: value for key, value in said.items() if value is not None})
        self._call.set(
            {
                keys.RESPONSE_MODEL: model,
                keys.RESPONSE_ID: id,
                keys.FINISH_REASONS: reasons,
                keys.INPUT_TOKENS: input_tokens,
                keys.OUTPUT_TOKENS: output_tokens,
                keys.CACHE_READ_TOKENS: cache_read_tokens,
                keys.CACHE_WRITE_TOKENS: cache_write_tokens,
                keys.REASONING_TOKENS: reasoning_tokens,
                keys.COST_USD: cost_usd,
                keys.PRICE_VERSION: price_version,
            }
        )
        if output is not None:
            self._call.content.set(keys.OUTPUT_MESSAGES, to_genai(output, role="assistant"))


def model_call(
    model: str,
    *,
    provider: str | None = None,
    messages: str | Iterable[str | Message] | None = None,
    system: Any = None,  # noqa: ANN401 - text or parts
    tools: Sequence[Any] | None = None,
    max_tokens: int | None = None,
) -> ModelCall:
    """Return a model call to enter with ``with``; an exception leaving the block is recorded and goes on.

    Args:
        model: the model asked for.
        provider: "openai", "anthropic", "aws.bedrock" and so on.
        messages: what is sent: text or chat messages; see ``spanhouse.messages.to_genai``.
        system: the system instructions, where the API takes them apart from the messages.
        tools: the tool definitions sent along.
        max_tokens: the output limit asked for.
    """
    return ModelCall(model, provider=provider, messages=messages, system=system, tools=tools, max_tokens=max_tokens)
