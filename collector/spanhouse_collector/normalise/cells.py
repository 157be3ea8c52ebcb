"""The typed columns of a group of spans: what the plan reads, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from spanhouse.canonical import args_hash
from spanhouse_collector import wire
from spanhouse_collector.conventions.convention import AGENT, EMBEDDING, LLM, TOOL
from spanhouse_collector.conventions.readers import as_text, json_text, parsed
from spanhouse_collector.normalise import failures, models
from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.contexts import Context
from spanhouse_collector.normalise.group import Event, Group
from spanhouse_collector.normalise.payload import Payload
from spanhouse_collector.normalise.times import rfc3339
from spanhouse_collector.prices import PRICE_VERSION, Prices

Cells = dict[str, list[Any]]

_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_PLAIN: Final = (
    *("run_hint", "request_id", "session_id", "user_id", "agent_version", "task", "task_type", "variant", "run_type"),
    *("operation", "step_kind", "tool_call_id", "decision", "request_model", "response_model", "response_id"),
    *("stop_reason", "outcome", "state", "budget"),
)
_FLAGS: Final = ("polling", "replayed", "streaming", "escalated")
_NULLABLE: Final = ("step", "attempt", "ttft_ms", "resumes", "steps", "spans_expected")
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_PRICED: Final = frozenset({LLM, EMBEDDING})
_SHORT: Final = 2_000
_AGENT_PREFIX: Final = "invoke_agent "
_AGENT_SUFFIXES: Final = ("._execute_core", ".run")


def of(
    group: Group,
    contexts: Sequence[Context],
    events: Mapping[int, Sequence[Event]],
    payload: Payload,
    prices: Prices,
) -> Cells:
    """Return column -> values of a group, only of columns that some span says something about."""
    rows, plan = len(group), group.plan
    cells: Cells = {"span_class": [plan.span_class] * rows, "convention": [plan.convention] * rows}
    cells["name"] = [wire.text(span.name) for span in group.spans]
    for column in _PLAIN:
        if (values := group.column(column)) is not None:
            cells[column] = [value or "" for value in values]
    for column in _FLAGS:
        if (values := group.column(column)) is not None:
            cells[column] = [value is True for value in values]
    for column in _NULLABLE:
        if (values := group.column(column)) is not None:
            cells[column] = values
    if (captured := group.column("content_captured")) is not None:
        cells["content_captured"] = [value is not False for value in captured]
    if (reasons := group.column("finish_reasons")) is not None:
        cells["finish_reasons"] = [value or [] for value in reasons]
    _place(cells, group, contexts)
    _named(cells, group)
    _arguments(cells, group, payload)
    _model(cells, group, prices)
    _outcome(cells, group, events)
    if events:
        cells["events"] = [_events(events[row]) if row in events else "" for row in range(rows)]
    return cells


def final(group: Group) -> list[bool]:
    """Return which spans of a group have ended; a pending record is sent when its span starts."""
    pending = group.column("pending")
    return [True] * len(group) if pending is None else [value is not True for value in pending]


def links(group: Group, attributes: Attributes) -> list[str]:
    """Return each span's links as a JSON array, "" for none."""
    return [_links(span.links, attributes) if span.links else "" for span in group.spans]


def _place(cells: Cells, group: Group, contexts: Sequence[Context]) -> None:
    for column in ("tenant", "environment"):
        shared = [getattr(contexts[number], column) for number in group.context]
        said = group.column(column)
        cells[column] = shared if said is None else [own or other for own, other in zip(said, shared, strict=True)]


def _named(cells: Cells, group: Group) -> None:
    span_class = group.plan.span_class
    agents = group.column("agent")
    if agents is not None:
        cells["agent"] = [value or "" for value in agents]
    if span_class == AGENT:
        known = cells.get("agent") or [""] * len(group)
        whole = group.plan.span_names_agent
        cells["agent"] = [
            agent or _agent_of(name) or (name if whole else "") for agent, name in zip(known, cells["name"], strict=True)
        ]
    if span_class == TOOL:
        tools = group.column("tool_name") or [None] * len(group)
        cells["tool_name"] = [tool or _tool_of(name) for tool, name in zip(tools, cells["name"], strict=True)]


def _agent_of(name: str) -> str:
    # Other names of agent spans are labels of the work ("weather workflow"), which must not pass for an agent's name.
    if name.startswith(_AGENT_PREFIX):
        return name.removeprefix(_AGENT_PREFIX)
    return next((name.removesuffix(end) for end in _AGENT_SUFFIXES if name.endswith(end)), "")


def _tool_of(name: str) -> str:
    return name.removeprefix("execute_tool ")


def _arguments(cells: Cells, group: Group, payload: Payload) -> None:
    declared = group.column("args_hash")
    if group.plan.span_class != TOOL:
        if declared is not None:
            cells["args_hash"] = [value or "" for value in declared]
        return
    arguments = payload.columns.get("input") or [""] * len(group)
    cells["args_hash"] = [
        said or (_hash(text) if text else "")
        for said, text in zip(declared or [None] * len(group), arguments, strict=True)
    ]


def _hash(text: str) -> str:
    return _hash_short(text) if len(text) <= _SHORT else _hash_of(text)


def _hash_of(text: str) -> str:
    value = parsed(text)
    if isinstance(value, dict | list):
        return args_hash(value)
    try:
        return args_hash(text)
    except RecursionError:
        # Nested too deeply to be put in order: equal texts still hash alike.
        return args_hash([text])


@lru_cache(maxsize=16_384)
def _hash_short(text: str) -> str:
    return _hash_of(text)


def _model(cells: Cells, group: Group, prices: Prices) -> None:
    rows = len(group)
    tokens = {column: values for column in _TOKENS if (values := group.column(column)) is not None}
    if "input_tokens" in tokens:
        for part in ("cache_read_tokens", "cache_write_tokens"):
            if part in tokens:
                _guard(tokens)
                break
    if "output_tokens" in tokens and "reasoning_tokens" in tokens:
        tokens["output_tokens"] = [
            models.inclusive(part, whole)
            for part, whole in zip(tokens["reasoning_tokens"], tokens["output_tokens"], strict=True)
        ]
    cells.update(tokens)
    model = cells.get("response_model") or cells.get("request_model")
    if model is not None and "request_model" in cells:
        model = [said or asked for said, asked in zip(model, cells["request_model"], strict=True)]
    if (providers := group.column("provider")) is not None or (model and group.plan.span_class in _PRICED):
        cells["provider"] = [
            models.provider(said or "", asked)
            for said, asked in zip(providers or [""] * rows, model or [""] * rows, strict=True)
        ]
    _cost(cells, group, prices, model)


def _guard(tokens: dict[str, list[Any]]) -> None:
    rows = len(tokens["input_tokens"])
    read = tokens.get("cache_read_tokens") or [None] * rows
    written = tokens.get("cache_write_tokens") or [None] * rows
    tokens["input_tokens"] = [
        models.inclusive((r or 0) + (w or 0), whole)
        for r, w, whole in zip(read, written, tokens["input_tokens"], strict=True)
    ]


def _cost(cells: Cells, group: Group, prices: Prices, model: list[str] | None) -> None:
    rows = len(group)
    reported = group.column("cost_usd")
    costs: list[float | None] = reported or [None] * rows
    sources = ["" if value is None else "reported" for value in costs]
    versions = [value or "" for value in group.column("price_version") or [""] * rows]
    used = "input_tokens" in cells or "output_tokens" in cells
    if group.plan.span_class in _PRICED and model is not None and used:
        none = [None] * rows
        read, written = cells.get("cache_read_tokens", none), cells.get("cache_write_tokens", none)
        asked, answered = cells.get("input_tokens", none), cells.get("output_tokens", none)
        for row, span in enumerate(group.spans):
            if costs[row] is None and model[row] and (asked[row] is not None or answered[row] is not None):
                costs[row] = prices.cost(
                    cells["provider"][row],
                    model[row],
                    input_tokens=asked[row] or 0,
                    output_tokens=answered[row] or 0,
                    cache_read_tokens=read[row] or 0,
                    cache_write_tokens=written[row] or 0,
                    start_ns=span.start_time_unix_nano,
                )
                if costs[row] is not None:
                    sources[row], versions[row] = "computed", PRICE_VERSION
    if any(sources):
        cells["cost_usd"], cells["cost_source"], cells["price_version"] = costs, sources, versions


def _outcome(cells: Cells, group: Group, events: Mapping[int, Sequence[Event]]) -> None:
    rows = len(group)
    codes = [span.status.code for span in group.spans]
    failed = group.column("failed") or [None] * rows
    declared = group.column("error_code") or [None] * rows
    status = ["error" if bad else _STATUS.get(code, "unset") for code, bad in zip(codes, failed, strict=True)]
    cells["status"] = status
    odd = [row for row in range(rows) if status[row] == "error" or declared[row] or row in events]
    if not odd:
        return
    classes = group.column("error_class") or [None] * rows
    http = group.column("status_code") or [None] * rows
    columns: Cells = {name: [""] * rows for name in ("status_message", "error_type", "exception_type")}
    for row in odd:
        exception, message = _exception(events.get(row, ()))
        columns["exception_type"][row] = declared[row] or exception
        said = failures.first_line(wire.text(group.spans[row].status.message)) or failures.first_line(message)
        columns["status_message"][row] = said
        if status[row] == "error":
            code = declared[row] or http[row] or ""
            columns["error_type"][row] = failures.error_type(classes[row] or "", code, exception, said)
    cells.update(columns)


def _exception(events: Sequence[Event]) -> tuple[str, str]:
    for event in reversed(events):
        if event.name == "exception":
            said = event.attributes
            return as_text(said.get("exception.type") or ""), as_text(said.get("exception.message") or "")
    return "", ""


def _events(events: Sequence[Event]) -> str:
    return json_text(
        [
            {
                "name": event.name,
                "time": rfc3339(event.time_ns),
                "attributes": event.attributes,
                "dropped_attributes": event.dropped,
            }
            for event in events
        ]
    )


def _links(messages: Sequence[Any], attributes: Attributes) -> str:
    found = []
    for link in messages:
        values: dict[str, Any] = {}
        for key, value, _ in attributes.entries(link.attributes):
            values.setdefault(key, value)
        found.append(
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": wire.text(link.trace_state),
                "flags": link.flags,
                "attributes": values,
                "dropped_attributes": link.dropped_attributes_count,
            }
        )
    return json_text(found)
