"""Short words for scripted agents: what the model says, and what became of the run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from tests.support.otlp_sink import OtlpSink, SinkLog, SinkSpan

import spanhouse as sh
from spanhouse.control import Flag, Subject, first_of, in_force
from spanhouse_runtime.guard import ApprovalAnswer, ApprovalRequest
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
        return first_of(self.meant(run_id, agent, tenant, tools, user))

    def meant(
        self, run_id: str = "", agent: str = "", tenant: str = "", tools: Collection[str] = (), user: str = ""
    ) -> list[Flag]:
        """Return the flags that are meant for any of these."""
        return in_force(self.flags, Subject(run_id, agent, tenant, tools, user), now=0.0)

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


class Desk:
    """A person who answers every question as told, about the arguments that were shown."""

    def __init__(self, answer: ApprovalAnswer | None) -> None:
        self.answer_with = answer
        self.asked: list[ApprovalRequest] = []
        self.withdrawn: list[str] = []

    def ask(self, request: ApprovalRequest) -> str:
        """Keep the question."""
        self.asked.append(request)
        return f"q-{len(self.asked)}"

    def answer(self, approval_id: str) -> ApprovalAnswer | None:
        """Return the answer, bound to what was asked."""
        shown = self.asked[int(approval_id.removeprefix("q-")) - 1].args_hash
        return None if self.answer_with is None else replace(self.answer_with, args_hash=shown)

    def withdraw(self, approval_id: str) -> None:
        """Keep that the question was taken back."""
        self.withdrawn.append(approval_id)
