"""What went into a span and what came out: messages, arguments and results, wherever the emitter put them.

A text that an attribute holds word for word is not stored twice: in ``attributes`` the key then stands with the name of
the column behind an "@" (``@input``), and `spanhouse_storage.payload.restored` puts the text back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any, Final

from spanhouse_collector.conventions.convention import AGENT, LLM, TOOL, WORKFLOW, Messages
from spanhouse_collector.conventions.genai_events import from_events
from spanhouse_collector.conventions.readers import as_text, json_text
from spanhouse_collector.normalise.group import Event, Group

# Sources before and after the messages that must be put together from events or numbered attributes.
_INPUT: Final = {LLM: (("input_messages",), ("preview_input",)), TOOL: (("tool_arguments",), ("preview_input",))}
_OUTPUT: Final = {LLM: (("output_messages",), ("preview_output",)), TOOL: (("tool_result",), ("preview_output",))}
_OTHER_INPUT: Final = (("preview_input", "input_messages"), ())
_OTHER_OUTPUT: Final = (("preview_output", "output_messages"), ())

_SIGNS_OF_ANSWER: Final = frozenset({"input_tokens", "output_tokens", "finish_reasons", "response_id"})
_EVENT_CLASSES: Final = frozenset({LLM, TOOL, AGENT, WORKFLOW})


class Payload:
    """The payload columns of a group.

    Attributes:
        columns: column -> values, only of columns that some span fills.
        moved: position among the attributes -> the reference that stands there in the map.
    """

    def __init__(self, group: Group, events: Mapping[int, Sequence[Event]]) -> None:
        self.columns: dict[str, list[str]] = {}
        self.moved: dict[int, str] = {}
        span_class = group.plan.span_class
        before_in, after_in = _INPUT.get(span_class, _OTHER_INPUT)
        before_out, after_out = _OUTPUT.get(span_class, _OTHER_OUTPUT)
        if span_class == LLM and not _SIGNS_OF_ANSWER.intersection(group.plan.feeds):
            # A wrapper's own return value is no answer of a model.
            after_out = ()
        self._take(group, "input", before_in)
        self._take(group, "output", before_out)
        self._take(group, "system_instructions", ("system_instructions",))
        self._take(group, "tool_definitions", ("tool_definitions",))
        self._assemble(group, events)
        self._take(group, "input", after_in)
        self._take(group, "output", after_out)

    def _take(self, group: Group, column: str, sources: Sequence[str]) -> None:
        feeds = [feed for source in sources for feed in group.plan.feeds.get(source, ())]
        if not feeds:
            return
        known = self.columns.get(column)
        if known is not None and all(known):
            return
        found = [value if isinstance(value, str) else "" for value in group.first(feeds)]
        if known is not None:
            self.columns[column] = [old or new for old, new in zip(known, found, strict=True)]
            return
        self.columns[column] = found
        for position, _ in feeds:
            if position not in self.moved and all(map(is_, (text for _, _, text in group.at(position)), found)):
                self.moved[position] = f"@{column}"
                return

    def _assemble(self, group: Group, events: Mapping[int, Sequence[Event]]) -> None:
        readers = group.plan.messages
        rows = range(len(group)) if readers else sorted(events)
        if group.plan.span_class not in _EVENT_CLASSES and not readers:
            return
        for row in rows:
            if all(column in self.columns and self.columns[column][row] for column in ("input", "output")):
                continue
            said = from_events(((e.name, e.attributes) for e in events.get(row, ())), group.plan.span_class)
            self._fill(group, row, said)
            if readers:
                attributes = {key: value for key, value, _ in reversed(group.of(row))}
                for read in readers:
                    self._fill(group, row, read(attributes))

    def _fill(self, group: Group, row: int, said: Messages) -> None:
        for column, messages in (
            ("input", said.input),
            ("output", said.output),
            ("system_instructions", said.system),
            ("tool_definitions", said.tools),
        ):
            if messages:
                values = self.columns.setdefault(column, [""] * len(group))
                if not values[row]:
                    values[row] = _text(messages, group.plan.span_class)


def _text(messages: list[Any], span_class: str) -> str:
    if span_class == TOOL and isinstance(messages[0], dict) and set(messages[0]) == {"content"}:
        content = messages[0]["content"]
        return "" if content is None else as_text(content)
    return json_text(messages)
