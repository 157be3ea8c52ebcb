"""Short words for scripted agents: what the model says, and what became of the run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from tests.support.otlp_sink import OtlpSink, SinkLog, SinkSpan

import spanhouse as sh
from spanhouse.control import Flag, Subject, strongest
from spanhouse_runtime.model import ModelResponse, ToolCall, Usage


def says(text: str, **fields: Any) -> ModelResponse:
    """Return a last answer."""
    return ModelResponse(text=text, **{"usage": Usage(10, 5), **fields})


def calls(name: str, call_id: str = "call_1", /, **arguments: Any) -> ModelResponse:
    """Return a turn that asks for one tool call."""
    return ModelResponse(
        tool_calls=(ToolCall(call_id, name, arguments),), usage=Usage(10, 5), finish_reason="tool_calls"
    )


class Flags:
    """What an operator has set, as a poller would know it; change ``flags`` and ``old`` at any time."""

    def __init__(self, flags: Iterable[Flag] = (), *, old: float = 0.0) -> None:
        self.flags = list(flags)
        self.old = old

    def matching(
        self, run_id: str = "", agent: str = "", tenant: str = "", tools: Collection[str] = (), user: str = ""
    ) -> Flag | None:
        """Return the strongest flag that is meant for any of these."""
        return strongest(self.flags, Subject(run_id, agent, tenant, tools, user), now=0.0)

    def age(self) -> float:
        """Return the seconds since the server was last heard."""
        return self.old


def recorded(sink: OtlpSink, run_id: str) -> tuple[list[SinkSpan], list[SinkLog]]:
    """Return the spans of a run in order of start, and its audit events by number."""
    assert sh.flush()
    spans = [span for span in sink.spans if span.attributes.get("spanhouse.run_id") == run_id]
    events = [log for log in sink.audit if log.attributes.get("spanhouse.run_id") == run_id]
    return sorted(spans, key=lambda span: span.start), events


def named(events: Iterable[SinkLog], name: str) -> list[dict[str, Any]]:
    """Return the own fields of the events of this name."""
    return [event.data for event in events if event.event_name == name]
