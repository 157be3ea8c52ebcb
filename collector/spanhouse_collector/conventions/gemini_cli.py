"""Google's Gemini CLI: GenAI operations of names of its own on spans, and log events with or without them.

Its prompt counts include what was cached; its output counts leave the thoughts out. ``tool_token_count`` counts the
prompt of a tool's use, not calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spanhouse.attributes import SESSION_ID
from spanhouse_collector.conventions.agent_log import Audit, Call, LogConvention, LogEvent, Reading, decided, shown
from spanhouse_collector.conventions.convention import AGENT, LLM, TOOL, Convention, Source
from spanhouse_collector.conventions.readers import as_text, count, finish_reasons, flag, name, number
from spanhouse_collector.wire import Value

NAME: Final = "gemini_cli"
_PREFIX: Final = "gemini_cli."
_DENIED: Final = ("reject", "rejected", "deny", "denied", "cancel")
_SESSION: Final = ("config", "approval_mode_switch", "extension_", "agent.", "conseca.verdict")

GEMINI_CLI: Final = Convention(
    name=NAME,
    scopes=("gemini-cli*",),
    keys=("gemini_cli.*",),
    sources=(
        Source("tool_name", ("function_name",), name, own=True),
        Source("tool_arguments", ("function_args",), own=True),
        Source("request_model", ("model", "model_name"), name, own=True),
        Source("input_tokens", ("input_token_count",), count, own=True),
        Source("output_tokens", ("output_token_count",), count, own=True),
        Source("cache_read_tokens", ("cached_content_token_count",), count, own=True),
        Source("reasoning_tokens", ("thoughts_token_count",), count, own=True),
    ),
    reasoning_beside_output=True,
)


def _read(event: LogEvent) -> Reading:
    said = event.attributes
    short = event.name.removeprefix(_PREFIX)
    call: Call | None = None
    audit: Audit | None = None
    if short == "user_prompt":
        asked = shown(said.get("prompt"))
        call = Call(AGENT, f"invoke_agent {NAME}", "run", columns={"input": asked})
        audit = Audit("user_prompt", {"length": count(said.get("prompt_length")), "prompt": asked or None})
    elif short in {"api_response", "api_error"}:
        call = _request(short, said)
    elif short == "tool_call":
        decision = decided(name(said.get("decision")) or "", _DENIED)
        call = _tool(said, decision)
        if decision:
            audit = _permission(said, decision)
    elif short == "tool_call.decision":
        audit = _permission(said, decided(name(said.get("decision")) or "", _DENIED))
    elif short.startswith(_SESSION):
        audit = Audit(short, dict(said))
    return Reading(
        session=name(said.get(SESSION_ID)) or "",
        prompt=name(said.get("prompt_id")) or "",
        user=name(said.get("user.email")) or "",
        call=call,
        audit=audit,
    )


def _request(short: str, said: Mapping[str, Value]) -> Call:
    model = name(said.get("model")) or ""
    thoughts, answered = count(said.get("thoughts_token_count")), count(said.get("output_token_count"))
    return Call(
        LLM,
        f"chat {model}".strip(),
        ms=number(said.get("duration_ms")) or 0,
        columns={
            "provider": "gcp.gemini",
            "request_model": model,
            "input_tokens": count(said.get("input_token_count")),
            "output_tokens": None if answered is None else answered + (thoughts or 0),
            "cache_read_tokens": count(said.get("cached_content_token_count")),
            "reasoning_tokens": thoughts,
            "finish_reasons": finish_reasons(said.get("finish_reasons")) or [],
            "output": shown(said.get("response_text")),
        },
        error=(name(said.get("error")) or name(said.get("error.message")) or "") if short == "api_error" else None,
        error_code=name(said.get("status_code")) or name(said.get("error_type")) or "",
    )


def _tool(said: Mapping[str, Value], decision: str) -> Call:
    tool, use = name(said.get("function_name")) or "", name(said.get("call_id")) or ""
    arguments = said.get("function_args")
    wrong = flag(said.get("success")) is False and decision != "deny"
    return Call(
        TOOL,
        f"execute_tool {tool}".strip(),
        use,
        ms=number(said.get("duration_ms")) or 0,
        columns={
            "tool_name": tool,
            "tool_call_id": use,
            "decision": "deny" if decision == "deny" else "",
            "input": "" if arguments is None else as_text(arguments),
        },
        error=(name(said.get("error")) or "") if wrong else None,
        error_code=name(said.get("error_type")) or "",
    )


def _permission(said: Mapping[str, Value], decision: str) -> Audit:
    keys = ("function_name", "call_id", "decision", "source", "tool_type")
    data = {key: said[key] for key in keys if said.get(key) is not None}
    return Audit("permission", data, tool=name(said.get("function_name")) or "", decision=decision)


GEMINI_CLI_LOGS: Final = LogConvention(NAME, _PREFIX, _read)
