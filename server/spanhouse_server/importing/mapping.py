"""What a recorded run says, in Spanhouse's terms: stop reason, outcome, times. Documented in docs/import.md."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from spanhouse.stop_reasons import Outcome, StopCode, StopReason

END_REASONS: Mapping[str, StopReason] = {
    "user_stop": StopReason(StopCode.FINISH),
    "agent_stop": StopReason(StopCode.FINISH),
    "completed": StopReason(StopCode.FINISH),
    "transfer_to_human": StopReason(StopCode.ESCALATED),
    "max_steps": StopReason(StopCode.MAX_STEPS),
    "max_turns": StopReason(StopCode.MAX_STEPS),
    "timeout": StopReason(StopCode.MAX_SECONDS),
    "context_window": StopReason(StopCode.CONTEXT_OVERFLOW),
    "malformed_tool_arguments": StopReason(StopCode.MODEL_ERROR, "malformed"),
    "provider_error": StopReason(StopCode.MODEL_ERROR, "unavailable"),
    "agent_error": StopReason(StopCode.ERROR, "agent_error"),
    "other_error": StopReason(StopCode.ERROR, "other"),
}
"""How a run's recorded end maps to the one stop reason. Two more need the run itself: see ``stop_reason``."""

NEEDS_TOOL = frozenset({"too_many_errors", "tool_server_error"})

UNTIMED_FROM: Mapping[str, datetime] = {
    "tau-bench": datetime(2024, 6, 20, tzinfo=UTC),
    "mcpmark": datetime(2025, 9, 5, tzinfo=UTC),
}
"""First day of the week that runs recorded without times are laid into, by source."""
UNTIMED_DEFAULT = datetime(2024, 1, 1, tzinfo=UTC)
UNTIMED_SPAN_SECONDS = 7 * 86_400
UNTIMED_MESSAGE_NS = 1_000_000_000


def stop_reason(run: Mapping[str, Any], last_failing_tool: str) -> StopReason | None:
    """Return the stop reason of a recorded run, or None where it recorded no end.

    Args:
        run: the line.
        last_failing_tool: subject for ends that blame a tool; the service's name stands in where no call failed.
    """
    end = run.get("end_reason")
    if not end:
        return None
    if end in NEEDS_TOOL:
        return StopReason(StopCode.TOOL_ERROR_EXHAUSTED, last_failing_tool or str(run.get("service") or "tool"))
    return END_REASONS.get(str(end), StopReason(StopCode.UNKNOWN, str(end)))


def outcome(run: Mapping[str, Any]) -> Outcome:
    """Return the benchmark's verdict as an outcome."""
    verdict = run.get("success")
    if verdict is None:
        return Outcome.UNKNOWN
    return Outcome.SUCCESS if verdict else Outcome.FAILURE


def nanoseconds(value: object) -> int | None:
    """Return an ISO 8601 text as Unix nanoseconds, UTC where it names no zone; None where it is no time."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def made_up_start(run: Mapping[str, Any]) -> int:
    """Return a start in Unix nanoseconds for a run recorded without times: the same one whenever it is imported.

    The CRC-32 of the run's id picks a second of the source's week, so order in the file does not matter.
    """
    first = UNTIMED_FROM.get(str(run.get("source") or ""), UNTIMED_DEFAULT)
    offset = zlib.crc32(str(run["run_id"]).encode()) % UNTIMED_SPAN_SECONDS
    return (int(first.timestamp()) + offset) * 1_000_000_000
