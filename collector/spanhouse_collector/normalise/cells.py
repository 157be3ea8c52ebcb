"""The typed columns of a group of spans: what the plan reads, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

import orjson

from spanhouse.canonical import args_hash
from spanhouse_collector import wire
from spanhouse_collector.conventions.convention import AGENT, TOOL
from spanhouse_collector.conventions.readers import as_text, parsed
from spanhouse_collector.normalise import failures, usage
from spanhouse_collector.normalise.attachments import events_json
from spanhouse_collector.normalise.contexts import Context
from spanhouse_collector.normalise.group import Cells, Event, Group
from spanhouse_collector.normalise.payload import Payload
from spanhouse_collector.prices import Prices

_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_PLAIN: Final = (
    *("run_hint", "request_id", "session_id", "user_id", "agent_version", "task", "task_type", "variant", "run_type"),
    *("operation", "step_kind", "tool_call_id", "decision", "request_model", "response_model", "response_id"),
    *("stop_reason", "outcome", "state", "budget"),
)
_FLAGS: Final = ("polling", "replayed", "streaming", "escalated")
_NULLABLE: Final = ("step", "attempt", "ttft_ms", "resumes", "steps", "spans_expected", "audit_expected")
_SHORT: Final = 2_000
_PLAIN_TYPES: Final = frozenset({str, int, bool, type(None)})
_HASH_DIGITS: Final = 16
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
    names = [span.name for span in group.spans]
    text_of = {raw: wire.text(raw) for raw in set(names)}
    cells["name"] = [text_of[raw] for raw in names]
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
    usage.fill(cells, group, prices)
    _outcome(cells, group, events)
    if events:
        cells["events"] = [events_json(events[row]) if row in events else "" for row in range(rows)]
    return cells


def final(group: Group) -> list[bool]:
    """Return which spans of a group have ended; a pending record is sent when its span starts."""
    pending = group.column("pending")
    return [True] * len(group) if pending is None else [value is not True for value in pending]


def _place(cells: Cells, group: Group, contexts: Sequence[Context]) -> None:
    for column in ("tenant", "environment"):
        by_context: list[str] = [getattr(context, column) for context in contexts]
        shared = [by_context[number] for number in group.context]
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
            agent or _agent_of(name) or (name if whole else "")
            for agent, name in zip(known, cells["name"], strict=True)
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
    if type(value) is dict and _PLAIN_TYPES.issuperset(map(type, value.values())):
        spelt = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if spelt.isascii():
            # Where no float and no accent can be spelt in two ways, this is the canonical text, made faster.
            return sha256(spelt).hexdigest()[:_HASH_DIGITS]
    if isinstance(value, dict | list):
        return args_hash(value)
    try:
        return args_hash(text)
    except RecursionError:
        # Nested too deeply to be put in order: equal texts still hash alike.
        return args_hash([text])


@lru_cache(maxsize=4096)
def _hash_short(text: str) -> str:
    return _hash_of(text)


def _outcome(cells: Cells, group: Group, events: Mapping[int, Sequence[Event]]) -> None:
    rows = len(group)
    # To ask for a part that was not sent would make it.
    codes = [span.status.code if span.HasField("status") else 0 for span in group.spans]
    failed = group.column("failed") or [None] * rows
    declared = group.column("error_code") or [None] * rows
    status = ["error" if bad else _STATUS.get(code, "unset") for code, bad in zip(codes, failed, strict=True)]
    cells["status"] = status
    odd = [row for row in range(rows) if status[row] == "error" or declared[row] or row in events]
    if not odd:
        return
    classes = group.column("error_class") or [None] * rows
    http = group.column("status_code") or [None] * rows
    texts = group.column("status_text") or [""] * rows
    columns: Cells = {name: [""] * rows for name in ("status_message", "error_type", "exception_type")}
    for row in odd:
        exception, message = _exception(events.get(row, ()))
        columns["exception_type"][row] = declared[row] or exception
        told = (texts[row] or "", wire.text(group.spans[row].status.message), message)
        said = next((line for each in told if (line := failures.first_line(each))), "")
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
