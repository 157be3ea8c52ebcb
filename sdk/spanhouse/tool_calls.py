"""One call of a tool, written down as it happens: span, audit event, argument hash, status."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry.trace import SpanKind

from spanhouse import attributes as keys
from spanhouse.canonical import args_hash
from spanhouse.errors import ErrorType
from spanhouse.failures import record_exception, record_failure
from spanhouse.spans import CallSpan

Decision = Literal["allow", "deny", "ask"]
Status = Literal["ok", "error", "timeout", "denied", "replayed"]


class ToolCall:
    """A tool call as a context manager; made by ``spanhouse.tool_call``.

    Attributes:
        args_hash: 16 hex digits that are equal for equal arguments.
        status: ok, error, timeout, denied or replayed, as known so far.
    """

    def __init__(
        self,
        name: str,
        arguments: Any,  # noqa: ANN401 - JSON text or any value
        *,
        call_id: str | None = None,
        attempt: int | None = None,
        polling: bool = False,
        idempotency_key: str | None = None,
        decision: Decision | None = None,
        rule: str | None = None,
        digest: str = "",
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.args_hash = digest or args_hash(arguments)
        self.status: Status = "ok"
        self._call_id = call_id
        self._attempt = attempt
        self._polling = polling
        self._idempotency_key = idempotency_key
        self._decision = decision
        self._rule = rule
        self._error_type: ErrorType | None = None
        self._cost_usd: float | None = None

    def __enter__(self) -> Self:
        self._call = CallSpan(
            f"execute_tool {self.name}",
            SpanKind.INTERNAL,
            {
                keys.OPERATION: "execute_tool",
                keys.TOOL_NAME: self.name,
                keys.TOOL_CALL_ID: self._call_id,
                keys.ARGS_HASH: self.args_hash,
                keys.TOOL_ATTEMPT: self._attempt,
                keys.TOOL_POLLING: self._polling or None,
                keys.IDEMPOTENCY_KEY: self._idempotency_key,
                keys.DECISION: self._decision,
                keys.POLICY_RULE: self._rule,
            },
        )
        self._call.content.set(keys.TOOL_ARGUMENTS, self.arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What the block said about the call stands; the exception may only be how it left.
        if error is not None and self.status not in {"denied", "error", "timeout"}:
            self._failed(record_exception(self._call.span, error))
        if self._call.run is not None:
            self._call.run.event(
                "tool.call",
                tool=self.name,
                args_hash=self.args_hash,
                status=self.status,
                decision=self._decision,
                duration_ms=self._call.elapsed_ms(),
                call_id=self._call_id,
                attempt=self._attempt,
                error_type=self._error_type,
                cost_usd=self._cost_usd,
            )
        self._call.end()

    def result(self, value: Any) -> None:  # noqa: ANN401 - whatever the tool returned
        """Record what the tool returned."""
        self._call.content.set(keys.TOOL_RESULT, value)

    def failed(self, message: str, error_type: ErrorType = ErrorType.OTHER, *, name: str = "ToolError") -> None:
        """Record that the tool reported a failure without an exception."""
        record_failure(self._call.span, name, message, error_type)
        self._failed(error_type)

    def cost(self, usd: float) -> None:
        """Record what the call costs, in dollars."""
        self._cost_usd = usd
        self._call.set({keys.COST_USD: usd})

    def denied(self, rule: str = "") -> None:
        """Record that a policy refused the call: it was asked for and never made."""
        self.status = "denied"
        self._decision = "deny"
        self._call.set({keys.DECISION: "deny", keys.POLICY_RULE: rule or None})

    def replayed(self) -> None:
        """Record that the result is that of an earlier call under the same idempotency key."""
        self.status = "replayed"
        self._call.set({keys.TOOL_REPLAYED: True})

    def _failed(self, error_type: ErrorType) -> None:
        self._error_type = error_type
        self.status = "timeout" if error_type is ErrorType.TIMEOUT else "error"


def tool_call(
    name: str,
    arguments: Any,  # noqa: ANN401 - JSON text or any value
    *,
    call_id: str | None = None,
    attempt: int | None = None,
    polling: bool = False,
    idempotency_key: str | None = None,
    decision: Decision | None = None,
    rule: str | None = None,
    digest: str = "",
) -> ToolCall:
    """Return a tool call to enter with ``with``; an exception leaving the block is recorded and goes on.

    Args:
        name: the tool's name.
        arguments: a mapping, or JSON text as a model wrote it.
        call_id: the id the model gave the call.
        attempt: 1 for the first try, counting up over retries.
        polling: the tool is meant to be called again with equal arguments; such calls make no loop.
        idempotency_key: the key under which the call has effect once.
        decision: what the policy said: allow, deny or ask.
        rule: the policy rule that said so.
        digest: the arguments' ``args_hash``, where it is known already.
    """
    return ToolCall(
        name,
        arguments,
        call_id=call_id,
        attempt=attempt,
        polling=polling,
        idempotency_key=idempotency_key,
        decision=decision,
        rule=rule,
        digest=digest,
    )
