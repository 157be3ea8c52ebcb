"""Log records of coding agents as span and audit rows: docs/adr/0007-log-only-agents.md."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from spanhouse.canonical import args_hash, canonical_json
from spanhouse.identity import run_id_of
from spanhouse_collector.conventions.agent_log import Audit, Call, LogConvention, Reading
from spanhouse_collector.conventions.convention import AGENT, LLM, TOOL
from spanhouse_collector.conventions.readers import json_text, parsed
from spanhouse_collector.normalise import failures, times
from spanhouse_collector.prices import PRICE_VERSION, Prices
from spanhouse_storage.derived import FROM_LOG, SPAN_PLACED, TRACE_PLACED

Row: TypeAlias = dict[str, Any]

_DENY: Final = "deny"
_NS_A_MS: Final = 1_000_000
_ROLES: Final = {"input": "user", "output": "assistant"}
_PRICED: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_OF_SPANS: Final = (
    *("tenant", "trace_id", "version", "received_at", "environment", "request_id", "service_name", "scope_name"),
    *("resource", "attributes", "user_id", "session_id"),
)
_OF_AUDIT: Final = ("tenant", "time", "received_at", "version", "environment", "request_id", "trace_id", "span_id")


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of ``spans`` and ``audit_events``, each with the columns it says something about."""

    spans: list[Row]
    audit_events: list[Row]


class AgentRuns:
    """Makes the rows; knows prices for calls whose cost nobody reports."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    def rows(self, convention: LogConvention, reading: Reading, log: Row) -> Found:
        """Return what a reading becomes; writes session, user, trace and span into the log's own row where it has none.

        A record that names no trace belongs to the trace of its session and prompt, with hashes of these for ids.
        """
        log["session_id"] = log["session_id"] or reading.session
        log["user_id"] = reading.user or log["user_id"]
        placed = bool(log["trace_id"])
        if not placed:
            log["trace_id"] = _hash(32, convention.name, reading.session, reading.prompt)
            log["flags"] |= TRACE_PLACED
        if not log["span_id"]:
            log["flags"] |= SPAN_PLACED
        run_span = _hash(16, log["trace_id"], AGENT, reading.prompt)
        spans: list[Row] = []
        if reading.call is not None:
            spans.append(self._span(convention, reading, reading.call, log, run_span))
            log["span_id"] = log["span_id"] or spans[0]["span_id"]
        elif reading.about is not None:
            log["span_id"] = log["span_id"] or _span_id(reading.about, reading, log)
        run_id = "" if placed or not reading.prompt else run_id_of(log["trace_id"], run_span)
        audit = [] if reading.audit is None else [_audit(convention, reading.audit, log, run_id)]
        return Found(spans, audit)

    def _span(self, convention: LogConvention, reading: Reading, call: Call, log: Row, run_span: str) -> Row:
        start = max(log["time"] - int(max(call.ms, 0) * _NS_A_MS), 0)
        seconds = start // times.NS
        in_range = log["bucket"] != 0 and times.EARLIEST <= seconds < times.LATEST
        row: Row = {
            **{column: log[column] for column in _OF_SPANS},
            "span_id": _span_id(call, reading, log),
            "parent_span_id": log["span_id"] or ("" if call.span_class == AGENT else run_span),
            "bucket": seconds if in_range else 0,
            "start": start,
            "end": log["time"],
            "duration_ns": log["time"] - start,
            "is_final": True,
            "name": call.name,
            "span_class": call.span_class,
            "convention": convention.name,
            "flags": FROM_LOG,
            "content_captured": call.span_class != AGENT or bool(call.columns.get("input")),
            "status": "unset" if call.error is None else "error",
            **call.columns,
        }
        row["agent"] = row.get("agent") or convention.name
        if call.error is not None:
            row["status_message"] = failures.first_line(call.error)
            row["error_type"] = failures.error_type("", call.error_code, "", row["status_message"])
        if call.span_class == TOOL and row.get("input"):
            arguments = parsed(row["input"])
            row["args_hash"] = args_hash(arguments if isinstance(arguments, dict | list) else row["input"])
        if call.span_class == LLM:
            self._complete_model_call(row)
        return row

    def _complete_model_call(self, row: Row) -> None:
        for column, role in _ROLES.items():
            if text := row.get(column):
                row[column] = json_text([{"role": role, "parts": [{"type": "text", "content": text}]}])
        if row.get("cost_usd") is not None:
            row["cost_source"] = "reported"
            return
        tokens = {column: row.get(column) for column in _PRICED}
        if not row.get("request_model") or (tokens["input_tokens"] is None and tokens["output_tokens"] is None):
            return
        known = {column: value or 0 for column, value in tokens.items()}
        cost = self._prices.cost(row.get("provider", ""), row["request_model"], start_ns=row["start"], **known)
        if cost is not None:
            row.update(cost_usd=cost, cost_source="computed", price_version=PRICE_VERSION)


def _audit(convention: LogConvention, audit: Audit, log: Row, run_id: str) -> Row:
    return {
        **{column: log[column] for column in _OF_AUDIT},
        "stream": run_id or log["trace_id"],
        # Nobody numbered these: a hash keeps records of one moment apart, and the time orders them.
        "seq": int(log["record_id"][:15], 16),
        "name": audit.name,
        "run_id": run_id,
        "agent": convention.name,
        "tool": audit.tool,
        "decision": audit.decision,
        "status": audit.status,
        "duration_ms": audit.ms,
        "data": canonical_json(
            parsed(json_text({key: value for key, value in audit.data.items() if value is not None}))
        ),
    }


def _span_id(call: Call, reading: Reading, log: Row) -> str:
    if call.span_class == AGENT:
        return _hash(16, log["trace_id"], AGENT, reading.prompt or log["record_id"])
    # A refusal and an outcome told of one call, or a failed try and the one that worked, stay rows of their own.
    ending = _DENY if call.columns.get("decision") == _DENY else "error" if call.error is not None else ""
    return _hash(16, log["trace_id"], call.span_class, call.key or log["record_id"], ending)


def _hash(digits: int, *parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]
