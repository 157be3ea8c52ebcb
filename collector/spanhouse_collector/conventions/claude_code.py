"""Claude Code: spans with names and keys of its own, and log events that alone carry what a request cost.

Its input tokens leave out what came from the cache and what was written to it. A span of a tool stays unset where the
span of its execution failed; the analysis rolls that up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanhouse.attributes import SESSION_ID
from spanhouse_collector.conventions.agent_log import Audit, Call, LogConvention, LogEvent, Reading, decided, shown
from spanhouse_collector.conventions.convention import (
    AGENT,
    LLM,
    STEP,
    TOOL,
    ClassRule,
    Convention,
    Sighting,
    Source,
)
from spanhouse_collector.conventions.readers import as_text, cost, count, count32, finish_reasons, flag, name, number
from spanhouse_collector.wire import Value

NAME: Final = "claude_code"
_PREFIX: Final = "claude_code."
_SCOPE: Final = "com.anthropic.claude_code"
_TYPES: Final = {
    "interaction": AGENT,
    "llm_request": LLM,
    "tool": TOOL,
    **dict.fromkeys(("tool.execution", "tool.blocked_on_user", "hook"), STEP),
}
_DENIED: Final = ("reject", "rejected", "deny", "denied")


def _by_name(span: Sighting) -> str:
    return _TYPES.get(span.name.removeprefix(_PREFIX), STEP) if span.name.startswith(_PREFIX) else ""


def _by_type(span: Sighting) -> str:
    said = span.attributes.get("span.type")
    return _TYPES.get(said, "") if isinstance(said, str) else ""


def _failed(value: Value) -> bool | None:
    worked = flag(value)
    return None if worked is None else not worked


CLAUDE_CODE: Final = Convention(
    name=NAME,
    scopes=(f"{_SCOPE}*",),
    # Above the rule on operations: its helper spans carry a tool call's id, which would make tool calls of them.
    classes=(
        ClassRule(2, (), _by_name, scopes=(_SCOPE,), named=True),
        ClassRule(2, ("span.type",), _by_type, scopes=(_SCOPE,)),
    ),
    sources=(
        Source("agent", ("agent.name",), name, own=True),
        Source("user_id", ("user.email", "user.account_uuid", "user.id"), name, own=True),
        Source("tool_name", ("tool_name",), name, own=True),
        Source("tool_call_id", ("tool_use_id",), name, own=True),
        Source("tool_arguments", ("tool_input", "tool_parameters"), own=True),
        Source("request_model", ("model",), name, own=True),
        Source("response_id", ("request_id",), name, own=True),
        Source("input_tokens", ("input_tokens",), count, own=True),
        Source("output_tokens", ("output_tokens",), count, own=True),
        Source("cache_read_tokens", ("cache_read_tokens",), count, own=True),
        Source("cache_write_tokens", ("cache_creation_tokens",), count, own=True),
        Source("cost_usd", ("cost_usd",), cost, own=True),
        Source("ttft_ms", ("ttft_ms",), cost, own=True),
        Source("attempt", ("attempt",), count32, own=True),
        Source("finish_reasons", ("stop_reason",), finish_reasons, own=True),
        Source("failed", ("success",), _failed, own=True),
        Source("error_code", ("status_code",), name, own=True),
        Source("status_text", ("error",), name, own=True),
        Source("preview_input", ("user_prompt",), own=True),
    ),
    foreign_keys=frozenset({"request_id", "stop_reason"}),
    cache_beside_input=True,
)


def _read(event: LogEvent) -> Reading:
    said = event.attributes
    short = event.name.removeprefix(_PREFIX)
    call: Call | None = None
    audit: Audit | None = None
    answered: Call | None = None
    if short == "user_prompt":
        asked = shown(said.get("prompt"))
        call = Call(AGENT, f"invoke_agent {NAME}", "run", columns={"input": asked})
        audit = Audit("user_prompt", {"length": count(said.get("prompt_length")), "prompt": asked or None})
    elif short in {"api_request", "api_error", "api_refusal"}:
        call = _request(short, said)
    elif short == "assistant_response":
        answered = _request("api_request", said)
    elif short == "tool_result":
        call = _tool(said, "deny" if _decision(said) == "deny" else "")
    elif short == "tool_decision":
        decision = _decision(said)
        call = _tool(said, decision) if decision == "deny" else None
        audit = Audit(
            "permission",
            _kept(said, "tool_name", "tool_use_id", "decision", "source"),
            tool=name(said.get("tool_name")) or "",
            decision=decision,
        )
    elif short in {"permission_mode_changed", "auth", "mcp_server_connection", "plugin_installed"}:
        audit = Audit(short, dict(said))
    return Reading(
        session=name(said.get(SESSION_ID)) or "",
        prompt=name(said.get("prompt.id")) or "",
        user=next((who for key in ("user.email", "user.account_uuid", "user.id") if (who := name(said.get(key)))), ""),
        call=call,
        audit=audit,
        about=answered,
        answer=shown(said.get("response")) or shown(said.get("text")),
    )


def _request(short: str, said: Mapping[str, Value]) -> Call:
    model = name(said.get("model")) or ""
    written, cached = count(said.get("cache_creation_tokens")), count(said.get("cache_read_tokens"))
    sent = count(said.get("input_tokens"))
    request = name(said.get("request_id")) or ""
    return Call(
        LLM,
        f"chat {model}".strip(),
        request,
        ms=number(said.get("duration_ms")) or 0,
        columns={
            "agent": name(said.get("agent.name")) or "",
            "provider": "anthropic",
            "request_model": model,
            "response_id": request,
            "attempt": count32(said.get("attempt")),
            "input_tokens": None if sent is None else sent + (cached or 0) + (written or 0),
            "output_tokens": count(said.get("output_tokens")),
            "cache_read_tokens": cached,
            "cache_write_tokens": written,
            "cost_usd": cost(said.get("cost_usd")),
            "finish_reasons": ["refusal"] if short == "api_refusal" else finish_reasons(said.get("stop_reason")) or [],
        },
        error=(name(said.get("error")) or "") if short == "api_error" else None,
        error_code=name(said.get("status_code")) or "",
    )


def _tool(said: Mapping[str, Value], decision: str) -> Call:
    tool, use = name(said.get("tool_name")) or "", name(said.get("tool_use_id")) or ""
    wrong = flag(said.get("success")) is False and decision != "deny"
    arguments = said.get("tool_input", said.get("tool_parameters"))
    return Call(
        TOOL,
        f"execute_tool {tool}".strip(),
        use,
        ms=number(said.get("duration_ms")) or 0,
        columns={
            "agent": name(said.get("agent.name")) or "",
            "tool_name": tool,
            "tool_call_id": use,
            "decision": decision,
            "input": "" if arguments is None else as_text(arguments),
        },
        error=(name(said.get("error")) or "") if wrong else None,
    )


def _decision(said: Mapping[str, Value]) -> str:
    return decided(name(said.get("decision")) or name(said.get("decision_type")) or "", _DENIED)


def _kept(said: Mapping[str, Value], *keys: str) -> dict[str, Any]:
    return {key: said[key] for key in keys if said.get(key) is not None}


CLAUDE_CODE_LOGS: Final = LogConvention(NAME, _PREFIX, _read)
