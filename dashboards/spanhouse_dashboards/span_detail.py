"""One span in full: what went in, what came out, attributes, events. Foreign text is shown, never interpreted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from spanhouse_dashboards import text
from spanhouse_dashboards.conversation import Message, Part, decoded, messages
from spanhouse_dashboards.meanings import SPAN_ICONS, span_class

Json = Mapping[str, Any]
LONG = 4_000
"""Characters after which a text gets a box of its own that scrolls."""
BOX_HEIGHT = 420
ROLE_ICONS = {
    "system": ":material/settings:",
    "user": ":material/person:",
    "assistant": ":material/smart_toy:",
    "tool": ":material/build:",
}


def show(span: Json, run_start: str) -> None:
    """Show the span; `run_start` is the API time its offset is counted from."""
    head(span, run_start)
    tabs = st.tabs(["Messages", "Attributes", "Events", "Raw"], key="span_tabs", on_change="rerun")
    for tab, body in zip(tabs, (content, attributes, events, raw), strict=True):
        if tab.open:
            with tab:
                body(span)


def head(span: Json, run_start: str) -> None:
    """Show what the span is and its figures."""
    kind = span_class(span["span_class"])
    st.markdown(f"**{SPAN_ICONS[kind]} {text.inert(text.shortened(span['name'], 160))}**")
    badges(span, kind)
    shown = figures(span, kind, run_start)
    with st.grid(len(shown), min_column_width=84, gap="small"):
        for label, value in shown.items():
            with st.container(gap=None):
                st.caption(label)
                st.markdown(f"**{text.inert(value)}**")
    origin = [name for name in (span["provider"], span["model"], span["tool_name"], span["tool_call_id"]) if name]
    if origin:
        st.text(" · ".join(text.shortened(name, 80) for name in origin))
    if span["status"] == "error":
        st.code(span["status_message"] or "The span failed without a message.", language=None, wrap_lines=True)


def badges(span: Json, kind: str) -> None:
    """Show the span's class and whatever was out of the ordinary."""
    with st.container(horizontal=True, gap="small"):
        st.badge(kind, color="gray")
        if span["status"] == "error":
            st.badge(text.inert(span["error_type"] or "failed"), icon=":material/error:", color="red")
        elif span["end"] is None:
            st.badge("running", icon=":material/progress_activity:", color="blue")
        if span["decision"]:
            denied = span["decision"] == "deny"
            st.badge(text.inert(span["decision"]), icon=":material/shield:", color="violet" if denied else "gray")
        if span["replayed"]:
            st.badge(
                "replayed", icon=":material/history:", color="gray", help="Answered from the record of an earlier run."
            )
        if span["attempt"] and span["attempt"] > 1:
            st.badge(f"attempt {span['attempt']}", icon=":material/replay:", color="orange")
        for reason in span["finish_reasons"] or ():
            st.badge(f"finish: {text.inert(reason)}", color="gray")


def figures(span: Json, kind: str, run_start: str) -> dict[str, str]:
    """Return the span's figures by label; tokens and cost only where the span can have them."""
    out = {
        "Began": f"+{text.duration(offset_ms(span['start'], run_start))}",
        "Took": "not finished" if span["end"] is None else text.duration(span["ms"]),
    }
    if kind == "model" or span["input_tokens"] is not None or span["output_tokens"] is not None:
        out |= {"Tokens in": text.count(span["input_tokens"]), "Tokens out": text.count(span["output_tokens"])}
        out |= {"Cost": text.usd(span["cost_usd"])}
    if span["cache_read_tokens"]:
        out["From cache"] = text.count(span["cache_read_tokens"])
    if span["step"] is not None:
        out["Step"] = text.count(span["step"])
    return out


def offset_ms(at: str, origin: str) -> float:
    """Return the milliseconds from one API time to another."""
    return (datetime.fromisoformat(at) - datetime.fromisoformat(origin)).total_seconds() * 1000


def content(span: Json) -> None:
    """Show system text, input and output in the order they were said."""
    kind = span_class(span["span_class"])
    sections = (
        ("System", span["system_instructions"], "system"),
        ("Arguments" if kind == "tool" else "Input", span["input"], "user"),
        ("Result" if kind == "tool" else "Output", span["output"], "assistant"),
    )
    if all(value in (None, "", [], {}) for _, value, _ in sections):
        st.caption("No content was captured for this span. The agent may have switched capture off.")
    for label, value, role in sections:
        if value in (None, "", [], {}):
            continue
        said = messages(value, role=role)
        if said is None:
            st.caption(label)
            payload(decoded(value))
        else:
            for message in said:
                one_message(message)
    definitions = decoded(span["tool_definitions"])
    if isinstance(definitions, (list, dict)) and definitions:
        with st.expander(f"Tools the model could call ({len(definitions)})", icon=":material/build:"):
            st.json(definitions, expanded=1)


def one_message(message: Message) -> None:
    """Show one message under its role."""
    with st.container(border=True, gap="small"):
        icon = ROLE_ICONS.get(message.role, ":material/chat:")
        finish = f" · finish: {text.inert(message.finish_reason)}" if message.finish_reason else ""
        st.caption(f"{icon} {text.inert(message.role)}{finish}")
        for part in message.parts:
            one_part(part)
        if not message.parts:
            st.caption("(empty)")


def one_part(part: Part) -> None:
    """Show one part of a message."""
    identity = f" · {text.inert(part.call_id)}" if part.call_id else ""
    match part.kind:
        case "tool_call":
            st.markdown(f":material/call_made: calls **{text.inert(part.title or 'a tool')}**{identity}")
        case "tool_result":
            st.markdown(f":material/call_received: result {text.inert(part.title)}{identity}")
        case "reasoning":
            st.caption(":material/psychology: reasoning")
        case "other":
            st.caption(text.inert(part.title or "part"))
        case _:
            pass
    payload(part.value)


def payload(value: object) -> None:
    """Show text as text and JSON as JSON; long text in a box that scrolls."""
    if isinstance(value, (dict, list)):
        st.json(value, expanded=2)
        return
    words = "null" if value is None else str(value)
    st.code(words, language=None, wrap_lines=True, height=BOX_HEIGHT if len(words) > LONG else "content")


def attributes(span: Json) -> None:
    """Show the span's own attributes, then those of its resource."""
    for label, values in (("Span", span["attributes"]), ("Resource", span["resource"])):
        st.caption(label)
        if values:
            rows = [{"key": key, "value": _flat(value)} for key, value in sorted(values.items())]
            st.dataframe(rows, hide_index=True, height="content", alt=f"{label} attributes", key=f"attributes_{label}")
        else:
            st.caption("none")


def events(span: Json) -> None:
    """Show the span's events in order, exceptions with their stack."""
    if not span["events"]:
        st.caption("The span has no events.")
    for event in span["events"] or ():
        values = dict(event.get("attributes") or {})
        stack = values.pop("exception.stacktrace", None)
        st.caption(f"{text.inert(event.get('name') or 'event')} · {text.clock(event.get('time'))}")
        if values:
            st.json(values, expanded=2)
        if stack:
            st.code(stack, language=None, height=min(BOX_HEIGHT, 60 + 20 * stack.count("\n")))
    if span["links"]:
        st.caption("Links")
        st.json(span["links"], expanded=1)


def raw(span: Json) -> None:
    """Show the span as the API sent it, to be copied."""
    st.code(json.dumps(span, indent=2, ensure_ascii=False), language="json", height=BOX_HEIGHT)


def _flat(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
