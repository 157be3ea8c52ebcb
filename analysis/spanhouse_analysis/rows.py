"""Table rows as the JSON objects of the API: unknown is null, times are RFC 3339 in UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

import pyarrow as pa

from spanhouse_analysis.times import rfc3339
from spanhouse_storage.payload import restored

Json: TypeAlias = dict[str, Any]


def _names(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


RUN: Final = _names(
    "run_id trace_id request_id session_id user_id tenant environment service_name agent agent_version model",
    "models status stop_reason stop_code stop_subject stop_reason_source outcome completed started_at ended_at",
    "run_seconds model_seconds tool_seconds state type task task_type variant resumes steps model_calls",
    "model_errors tool_calls tool_errors tool_requests policy_denials loops cycle_length retries retry_storm",
    "escalated input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens cost_usd",
    "cost_source unpriced_models budget spans_stored spans_expected audit_stored audit_expected convention name",
    "error_type error_message input_preview output_preview root_span_id weight",
)
SPAN: Final = _names(
    "trace_id span_id parent_span_id name span_class status status_message error_type start end tool_name",
    "tool_call_id args_hash decision replayed attempt step step_kind provider input_tokens output_tokens",
    "cache_read_tokens reasoning_tokens cost_usd finish_reasons agent service_name convention",
)
CONTENT: Final = ("input", "output", "system_instructions", "tool_definitions", "events", "links")
MAPS: Final = ("attributes", "resource")
STEP: Final = _names(
    "seq number kind tool model span_id started_at ms status error_type error_message decision args_hash attempt",
    "replayed input_tokens output_tokens cost_usd",
)
AUDIT: Final = _names(
    "tenant stream seq name time environment request_id run_id trace_id span_id agent agent_version step tool",
    "args_hash decision status duration_ms event_version prev_hash hash body_hash",
)
POINT: Final = _names(
    "tenant environment service_name name unit type temporality is_monotonic time start_time flags value int_value",
    "count sum min max bounds bucket_counts scale zero_count zero_threshold positive_offset positive_counts",
    "negative_offset negative_counts quantiles quantile_values scope_name",
)

# What is read just within the interpreter's limit could not be written again.
_DEEPEST: Final = 500
SCORE: Final = _names(
    "tenant score_id time name value label explanation error_type trace_id span_id run_id response_id source"
)

_SESSION: Final = {
    **{name: name for name in _names("session_id tenant runs running completed users agents")},
    "first_at": "first",
    "last_at": "last",
    **{name: name for name in _names("input_tokens output_tokens cost_usd last_run_id last_status last_stop_reason")},
}


def runs(table: pa.Table) -> list[Json]:
    """Return the API's ``Run`` of each row of ``runs``."""
    return [_run(row) for row in _plain(table)]


def steps(table: pa.Table) -> list[Json]:
    """Return the API's ``Step`` of each row of ``steps``."""
    return [{name: _known(row.get(name)) for name in STEP} for row in _plain(table)]


def spans(table: pa.Table, *, content: bool = False) -> list[Json]:
    """Return the API's ``Span`` of each row of ``spans``; ``content`` adds what it says at length."""
    return [_span(row, content=content) for row in _plain(table)]


def audit_events(table: pa.Table) -> list[Json]:
    """Return the API's ``AuditEvent`` of each row of ``audit_events``; ``data`` holds the event's own fields."""
    return [
        {**{name: _known(row.get(name)) for name in AUDIT}, "data": _parsed(row.get("data")) or {}}
        for row in _plain(table)
    ]


def scores(table: pa.Table) -> list[Json]:
    """Return the API's ``Score`` of each row of ``scores``."""
    return [{name: _known(row.get(name)) for name in SCORE} for row in _plain(table)]


def sessions(table: pa.Table) -> list[Json]:
    """Return the API's ``Session`` of each row of `list_sessions`."""
    return [{name: _known(row[column]) for name, column in _SESSION.items()} for row in _plain(table)]


def metric_points(table: pa.Table) -> list[Json]:
    """Return the API's ``Point`` of each row of ``metric_points``; ``series`` as hex digits."""
    return [
        {
            **{name: _known(row.get(name)) for name in POINT},
            "series": f"{row['series']:016x}",
            "exemplars": _parsed(row.get("exemplars")) or [],
            **{name: dict(row.get(name) or ()) for name in MAPS},
        }
        for row in _plain(table)
    ]


def _run(row: Mapping[str, Any]) -> Json:
    budget = _parsed(row.get("budget"))
    return {
        **{name: _known(row.get(name)) for name in RUN},
        "budget": budget if isinstance(budget, dict) else None,
        "complete": _complete(row),
    }


def _complete(row: Mapping[str, Any]) -> bool | None:
    """Return whether all that the SDK made is stored; None where it did not say how much that is."""
    known = [
        (row.get(f"{kind}_stored") or 0) >= row[f"{kind}_expected"]
        for kind in ("spans", "audit")
        if row.get(f"{kind}_expected") is not None
    ]
    return all(known) if known else None


def _span(row: Mapping[str, Any], *, content: bool) -> Json:
    result: Json = {name: _known(row.get(name)) for name in SPAN}
    result["ms"] = row["duration_ns"] / 1e6
    if not row["is_final"]:
        # Written when the span began: its end is not known, and the record's own is its start.
        result["end"] = result["ms"] = None
    result["model"] = _known(row.get("response_model")) or _known(row.get("request_model"))
    if content:
        result.update({name: _parsed(row.get(name)) for name in CONTENT})
        result.update({name: restored(dict(row.get(name) or ()), row) for name in MAPS})
    return result


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as Python values; times to the microsecond, which is what Python's own hold."""
    schema = [
        field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    rows: list[dict[str, Any]] = table.cast(pa.schema(schema), safe=False).to_pylist()
    return rows


def _known(value: Any) -> Any:  # noqa: ANN401 - any cell
    if value == "":
        return None
    return rfc3339(value) if isinstance(value, datetime) else value


def _parsed(text: str | None) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a text, the text itself where it is no JSON or too deep, None where it is empty."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    opened = text.count("[") + text.count("{")
    return text if opened > _DEEPEST and _depth(value) > _DEEPEST else value


def _depth(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Return how many lists and objects stand inside one another."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
