"""OpenAI's Codex: log events, every value a string, one conversation with many prompts that no id tells apart.

Of the two records that say a response is complete the first is bare; the one with counts is the model call. Its spans
are those of the program's own work and hold no calls that the events do not tell of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spanhouse_collector.conventions.agent_log import Audit, Call, LogConvention, LogEvent, Reading, decided, shown
from spanhouse_collector.conventions.convention import AGENT, LLM, OTHER, TOOL, ClassRule, Convention, Sighting, Source
from spanhouse_collector.conventions.readers import as_text, count, count32, flag, name, number
from spanhouse_collector.wire import Value

NAME: Final = "codex"
_PREFIX: Final = "codex."
_DENIED: Final = ("denied", "deny", "abort", "rejected", "timed_out")
_LOWEST_ERROR: Final = 400
_SESSION: Final = frozenset({"conversation_starts", "sandbox_outcome", "auth_recovery"})


def _inner_work(_: Sighting) -> str:
    return OTHER


CODEX: Final = Convention(
    name=NAME,
    scopes=("codex_otel*", "codex_cli*", "codex_exec*", "codex-app-server*"),
    keys=("codex.*",),
    classes=(ClassRule(2, (), _inner_work, scopes=("codex_otel", "codex_cli", "codex_exec", "codex-app-server")),),
    sources=(
        Source("session_id", ("conversation.id", "thread.id"), name, own=True),
        Source("user_id", ("user.email", "user.account_id"), name, own=True),
        Source("reasoning_tokens", ("codex.usage.reasoning_output_tokens",), count, own=True),
    ),
)


def _read(event: LogEvent) -> Reading:
    said = event.attributes
    short = event.name.removeprefix(_PREFIX)
    call: Call | None = None
    audit: Audit | None = None
    if short == "user_prompt":
        asked = shown(said.get("prompt"))
        call = Call(AGENT, f"invoke_agent {NAME}", columns={"input": asked})
        audit = Audit("user_prompt", {"length": count(said.get("prompt_length")), "prompt": asked or None})
    elif short in {"sse_event", "websocket_event"}:
        call = _response(said)
    elif short == "api_request":
        call = _failed_request(said)
    elif short == "tool_result":
        call = _tool(said, "")
    elif short == "tool_decision":
        decision = decided(name(said.get("decision")) or "", _DENIED)
        call = _tool(said, decision) if decision == "deny" else None
        keys = ("tool_name", "call_id", "decision", "source")
        audit = Audit(
            "permission",
            {key: said[key] for key in keys if said.get(key) is not None},
            tool=name(said.get("tool_name")) or "",
            decision=decision,
        )
    elif short in _SESSION:
        audit = Audit(short, dict(said))
    return Reading(
        session=name(said.get("conversation.id")) or "",
        user=next((who for key in ("user.email", "user.account_id") if (who := name(said.get(key)))), ""),
        call=call,
        audit=audit,
    )


def _response(said: Mapping[str, Value]) -> Call | None:
    kind = said.get("event.kind")
    sent, answered = count(said.get("input_token_count")), count(said.get("output_token_count"))
    if kind == "response.failed":
        return _model_call(said, error=name(said.get("error.message")) or "")
    if kind != "response.completed" or (sent is None and answered is None):
        return None
    return _model_call(
        said,
        input_tokens=sent,
        output_tokens=answered,
        cache_read_tokens=count(said.get("cached_token_count")),
        cache_write_tokens=count(said.get("cache_write_token_count")),
        reasoning_tokens=count(said.get("reasoning_token_count")),
    )


def _failed_request(said: Mapping[str, Value]) -> Call | None:
    # A request that went well is told of again by its response.
    status = count(said.get("http.response.status_code", said.get("status")))
    message = name(said.get("error.message")) or ""
    if not message and (status is None or status < _LOWEST_ERROR):
        return None
    return _model_call(said, error=message, code="" if status is None else str(status))


def _model_call(said: Mapping[str, Value], *, error: str | None = None, code: str = "", **tokens: int | None) -> Call:
    model = name(said.get("model")) or name(said.get("slug")) or ""
    return Call(
        LLM,
        f"chat {model}".strip(),
        ms=number(said.get("duration_ms")) or 0,
        columns={"provider": "openai", "request_model": model, "attempt": count32(said.get("attempt")), **tokens},
        error=error,
        error_code=code,
    )


def _tool(said: Mapping[str, Value], decision: str) -> Call:
    tool, use = name(said.get("tool_name")) or "", name(said.get("call_id")) or ""
    arguments, output = said.get("arguments"), said.get("output")
    wrong = flag(said.get("success")) is False and decision != "deny"
    return Call(
        TOOL,
        f"execute_tool {tool}".strip(),
        use,
        ms=number(said.get("duration_ms")) or 0,
        columns={
            "tool_name": tool,
            "tool_call_id": use,
            "decision": decision,
            "input": "" if arguments is None else shown(as_text(arguments)),
            "output": "" if output is None else shown(as_text(output)),
        },
        error=(shown(output) if isinstance(output, str) else "") if wrong else None,
    )


CODEX_LOGS: Final = LogConvention(NAME, _PREFIX, _read)
