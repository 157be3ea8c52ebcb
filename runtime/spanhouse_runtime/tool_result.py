"""What a tool returned, on its way to the model: it fits its declared type, holds no secret, and is not too long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from spanhouse.content import as_text
from spanhouse.redaction import redact
from spanhouse.runs import Run
from spanhouse_runtime.credentials import cut_out
from spanhouse_runtime.tool_failure import OutputInvalid, ResultRefused
from spanhouse_runtime.tools import Tool


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A result an ``after_tool`` hook looks at.

    Attributes:
        tool, arguments: the call.
        text: what the model would be told.
        tenant, run_id: whose run it is.
    """

    tool: str
    arguments: Mapping[str, Any]
    text: str
    tenant: str
    run_id: str


AfterTool: TypeAlias = Callable[[ToolResult], str | None]
"""Returns another text for the model, or None to let the result be; raises ``ResultRefused`` to withhold it."""


def fitting(tool: Tool, value: Any) -> Any:  # noqa: ANN401 - whatever the tool returned
    """Return the value as plain JSON where the tool declares its output, else as it is.

    Raises:
        OutputInvalid: it does not fit.
    """
    if tool.result is None:
        return value
    try:
        return tool.result.dump_python(tool.result.validate_python(value), mode="json")
    except ValidationError as problem:
        # Values stay out of the message: they have not been looked over for secrets.
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        details = "; ".join(f"{'.'.join(map(str, error['loc'])) or 'it'}: {error['msg']}" for error in errors[:5])
        msg = f"{tool.name} returned what does not fit the output it declares: {details}"
        raise OutputInvalid(msg) from None


def without_secrets(run: Run, tool: Tool, value: Any, credentials: Collection[str]) -> str:  # noqa: ANN401
    """Return the value as text without the call's own credentials, and without what looks like a secret.

    Raises:
        ResultRefused: it holds a secret and the tool's results with secrets are withheld.
    """
    text = cut_out(as_text(value), credentials)
    if tool.scan == "pass":
        return text
    cut, found = redact(text)
    if not found:
        return text
    refused = tool.scan == "refuse"
    said = f"{found} {'secret' if found == 1 else 'secrets'} in the result"
    _decided(run, tool, "deny" if refused else "allow", "secret_scan", said)
    if refused:
        msg = f"there {'is' if found == 1 else 'are'} {said}"
        raise ResultRefused(msg)
    return cut


def hooked(run: Run, tool: Tool, hook: AfterTool | None, result: ToolResult) -> str:
    """Return the text after the hook has looked at it.

    Raises:
        ResultRefused: the hook withholds it.
    """
    if hook is None:
        return result.text
    try:
        changed = hook(result)
    except ResultRefused as refused:
        _decided(run, tool, "deny", "after_tool", str(refused))
        raise
    if changed is None or changed == result.text:
        return result.text
    _decided(run, tool, "allow", "after_tool", "the result was changed")
    return changed


def capped(text: str, limit: int) -> str:
    """Return the text, cut to ``limit`` bytes of UTF-8 with a note of how much there was."""
    size = len(text.encode("utf-8", "replace"))
    if size <= limit:
        return text
    note = f"\n[cut: the first {limit} of {size} bytes]"
    kept = text.encode("utf-8", "replace")[: max(0, limit - len(note))]
    return kept.decode("utf-8", "ignore") + note


def _decided(run: Run, tool: Tool, decision: str, rule: str, why: str) -> None:
    run.event("policy.decision", tool=tool.name, decision=decision, rule=rule, reason=why, point="after_tool")
