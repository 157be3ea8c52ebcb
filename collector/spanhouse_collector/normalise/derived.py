"""What log records tell beside themselves: messages of spans, scores, and the runs of agents that send no spans.

Every row follows from its record alone, ids included, so records sent again, apart or in another order give the same
rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from spanhouse import attributes as own
from spanhouse_collector.conventions import genai_evaluations, log_convention
from spanhouse_collector.conventions.agent_log import LogEvent
from spanhouse_collector.conventions.convention import LLM, Messages
from spanhouse_collector.conventions.genai_events import EVENT_NAMES, from_events
from spanhouse_collector.conventions.readers import json_text, name
from spanhouse_collector.normalise.agent_runs import AgentRuns
from spanhouse_collector.prices import Prices
from spanhouse_collector.wire import Value

Row: TypeAlias = dict[str, Any]

_SHARED: Final = ("tenant", "trace_id", "span_id", "bucket", "time", "received_at", "version")


class Derived:
    """Collects the rows beside the log records of a batch.

    Attributes:
        rows: table -> rows, each with only the columns it says something about.
    """

    def __init__(self, prices: Prices) -> None:
        self.rows: dict[str, list[Row]] = {"spans": [], "audit_events": [], "messages": [], "scores": []}
        self._agents = AgentRuns(prices)

    def add(self, log: Row, said: Mapping[str, Value], body: Value) -> None:
        """Add what one log record tells, given its row of ``logs``, its attributes and its body.

        A record of a coding agent that names no trace and no span gets those it belongs to into its row.
        """
        event: str = log["event_name"]
        if genai_evaluations.tells(event, said):
            self.rows["scores"].append(_score(log, said))
        elif event in EVENT_NAMES:
            self._add_messages(log, from_events([(event, body if isinstance(body, dict) else said)], LLM))
        elif (convention := log_convention(event)) is not None:
            reading = convention.read(LogEvent(event, said, log["record_id"]))
            if reading.session:
                found = self._agents.rows(convention, reading, log)
                self.rows["spans"].extend(found.spans)
                self.rows["audit_events"].extend(found.audit_events)
                if reading.answer and reading.about is not None:
                    parts = [{"type": "text", "content": reading.answer}]
                    self._add_messages(log, Messages(output=[{"role": "assistant", "parts": parts}]))

    def _add_messages(self, log: Row, said: Messages) -> None:
        columns = {
            "input": said.input,
            "output": said.output,
            "system_instructions": said.system,
            "tool_definitions": said.tools,
        }
        if log["trace_id"] and log["span_id"] and any(columns.values()):
            texts = {column: json_text(value) if value else "" for column, value in columns.items()}
            self.rows["messages"].append({**_shared(log), "record_id": log["record_id"], **texts})


def _shared(log: Row) -> Row:
    return {column: log[column] for column in _SHARED}


def _score(log: Row, said: Mapping[str, Value]) -> Row:
    return {
        **_shared(log),
        "score_id": log["record_id"],
        **genai_evaluations.verdict(said),
        "run_id": name(said.get(own.RUN_ID)) or "",
        "response_id": name(said.get(own.RESPONSE_ID)) or "",
        "source": "log",
    }
