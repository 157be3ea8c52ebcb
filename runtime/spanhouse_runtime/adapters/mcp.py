"""Tools of MCP servers under the guard: a client session that asks before every call."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from mcp.types import CallToolResult, TextContent

from spanhouse.errors import ErrorType
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.current import needed_guarded_run

ClientT = TypeVar("ClientT")


class GuardedMcp(Generic[ClientT]):
    """An MCP client (``mcp.Client`` or ``mcp.ClientSession``) whose tool calls ask the guarded run they are made in.

    Everything but ``call_tool`` is the client's own. A refused call is answered with a result that is an error.

    Args:
        client: the client that calls.
        prefix: stands before tool names in policies, spans and flags: ``github.`` tells two servers' tools apart.
    """

    def __init__(self, client: ClientT, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the client's own
        return getattr(self._client, name)

    async def call_tool(self, name: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:  # noqa: ANN401
        """Return the server's result, or the refusal as a result.

        Raises:
            RunStopped: the run is over.
        """
        called = f"{self._prefix}{name}"
        guarded = needed_guarded_run(f"tool {called}")
        ask = ToolAsk(called, arguments or {})
        client: Any = self._client
        try:
            async with guarded.tool_call(ask) as call:
                result = await client.call_tool(name, dict(call.arguments), **more)
                said = _text(result)
                call.result(said)
                if getattr(result, "is_error", False):
                    call.failed(said or "the server says that the call failed", ErrorType.OTHER, name="McpToolError")
        except CallRefused as refused:
            return CallToolResult(content=[TextContent(type="text", text=refused.as_text())], is_error=True)
        noted = guarded.notes.around("")
        if noted and isinstance(result, CallToolResult):
            result.content.append(TextContent(type="text", text=noted))
        return result


def _text(result: object) -> str:
    content = getattr(result, "content", None) or ()
    return "\n".join(part.text for part in content if isinstance(part, TextContent))
