"""Import files: a bad line costs only itself; a run's spans are the same every time."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any, cast

import pytest

from spanhouse import attributes as keys
from spanhouse.client import Client
from spanhouse.errors import ServerError
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_server.importing import lines, mapping
from spanhouse_server.importing.lines import BadLine, RunLine
from spanhouse_server.importing.runs import spans_of
from spanhouse_server.importing.send import wait_until_stored


def _run(**fields: Any) -> dict[str, Any]:
    messages = [
        {"i": 0, "role": "assistant", "content": "Hi! How can I help?"},
        {"i": 1, "role": "user", "content": "Cancel my flight."},
        {
            "i": 2,
            "role": "assistant",
            "tool_calls": [{"id": "c", "name": "find", "arguments": {"b": 2, "a": 1}}],
            "input_tokens": 10,
            "output_tokens": 3,
            "cost_usd": 0.5,
        },
        {"i": 3, "role": "tool", "tool_call_id": "c", "name": "find", "content": "Error: no such flight"},
        {
            "i": 4,
            "role": "assistant",
            "tool_calls": [{"id": "c", "name": "find", "arguments": {"a": 1}}],
            "input_tokens": 20,
            "output_tokens": 4,
            "cost_usd": 0.25,
        },
        {"i": 5, "role": "tool", "tool_call_id": "c", "name": "find", "content": "found"},
        {"i": 6, "role": "user", "tool_calls": [{"id": "u", "name": "toggle", "arguments": {}}]},
        {"i": 7, "role": "tool", "tool_call_id": "u", "name": "toggle", "content": "on", "requestor": "user"},
        {"i": 8, "role": "assistant", "content": "Done.", "input_tokens": 30, "output_tokens": 5, "cost_usd": 0.125},
    ]
    return {
        "run_id": "r/1",
        "source": "bench",
        "model": "m-1",
        "domain": "air",
        "mode": "default",
        "task_id": "7",
        "success": True,
        "end_reason": "user_stop",
        "messages": messages,
        **fields,
    }


def _spans(run: dict[str, Any]) -> list[Any]:
    return spans_of(run, tenant="t", environment="e")


def _attribute(span: Any, key: str) -> Any:
    for pair in span.attributes:
        if pair.key == key:
            return getattr(pair.value, pair.value.WhichOneof("value"))
    return None


@pytest.mark.parametrize("packed", [True, False])
def test_bad_lines_are_named_and_their_neighbours_read(tmp_path: Path, *, packed: bool) -> None:
    """Not JSON, not an object, no run_id: each with its number; blank lines are nothing."""
    text = b'{"run_id": "a"}\nnot json\n\n[1]\n{"model": "m"}\n{"run_id": "b", "messages": "x"}\n{"run_id": "c"}'
    path = tmp_path / "runs"
    path.write_bytes(gzip.compress(text) if packed else text)
    read = list(lines.read(path))
    assert [line.number for line in read if isinstance(line, RunLine)] == [1, 7]
    bad = {line.number: line.reason for line in read if isinstance(line, BadLine)}
    assert set(bad) == {2, 4, 5, 6}
    assert "not JSON" in bad[2]
    assert "list" in bad[4]
    assert "run_id" in bad[5]
    assert "messages" in bad[6]


def test_a_file_that_breaks_off_is_read_up_to_there(tmp_path: Path) -> None:
    """A truncated download loses its tail, not its head."""
    whole = gzip.compress(
        b"".join(b'{"run_id": "%d-%s"}\n' % (n, random.Random(n).randbytes(40).hex().encode()) for n in range(200))
    )
    path = tmp_path / "runs.gz"
    path.write_bytes(whole[: len(whole) // 2])
    read = list(lines.read(path))
    assert sum(isinstance(line, RunLine) for line in read) > 20
    assert isinstance(read[-1], BadLine)
    assert "breaks off" in read[-1].reason or "not JSON" in read[-1].reason


def test_the_same_line_gives_the_same_spans() -> None:
    """Byte for byte, whatever else was imported before."""
    first, second = _spans(_run()), _spans(_run())
    assert [s.SerializeToString() for s in first] == [s.SerializeToString() for s in second]
    assert len({s.span_id for s in first}) == len(first)


def test_messages_become_model_and_tool_spans() -> None:
    """The greeting and the customer's own call are neither; ids that repeat are answered in order."""
    spans = _spans(_run())
    models = [s for s in spans if _attribute(s, keys.OPERATION) == "chat"]
    tools = [s for s in spans if _attribute(s, keys.OPERATION) == "execute_tool"]
    assert [_attribute(s, keys.INPUT_TOKENS) for s in models] == [10, 20, 30]
    assert [_attribute(s, keys.COST_USD) for s in models] == [0.5, 0.25, 0.125]
    assert [(_attribute(s, keys.TOOL_NAME), s.status.code) for s in tools] == [("find", 2), ("find", 0)]
    assert [_attribute(s, keys.TOOL_RESULT) for s in tools] == ["Error: no such flight", "found"]
    assert [s.name for s in spans if s not in models and s not in tools] == ["invoke_agent bench", "customer toggle"]
    root = spans[0]
    assert _attribute(root, keys.STOP_REASON) == "finish"
    assert _attribute(root, keys.OUTCOME) == "success"
    assert _attribute(root, keys.REQUEST_ID) == "r/1"
    assert _attribute(root, keys.SPANS_EXPECTED) == len(spans)


def test_a_recorded_error_flag_beats_the_text() -> None:
    """A result that only looks like an error is none where the source says so."""
    run = _run()
    run["messages"][3]["error"] = False
    tools = [s for s in _spans(run) if _attribute(s, keys.OPERATION) == "execute_tool"]
    assert [s.status.code for s in tools] == [0, 0]


def test_runs_without_times_get_the_same_stated_week() -> None:
    """Made up, but reproducible, and never before the stated day."""
    start = mapping.made_up_start(_run())
    assert start == mapping.made_up_start(_run())
    first = int(mapping.UNTIMED_DEFAULT.timestamp() * 1e9)
    assert first <= start < first + mapping.UNTIMED_SPAN_SECONDS * 10**9
    root = _spans(_run())[0]
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (
        start,
        start + 9 * mapping.UNTIMED_MESSAGE_NS,
    ) or root.end_time_unix_nano > root.start_time_unix_nano


def test_figures_without_messages_stand_on_the_run_span() -> None:
    """Tokens, cost, turns and the error message are the run's own."""
    run = {
        "run_id": "m",
        "source": "mcpmark",
        "model": "x",
        "service": "git",
        "success": False,
        "end_reason": "context_window",
        "error_message": "prompt is too long",
        "duration_s": 2.5,
        "turns": 4,
        "input_tokens": 100,
        "output_tokens": 7,
        "reasoning_tokens": None,
        "cost_usd": 0.01,
    }
    (root,) = _spans(run)
    assert _attribute(root, keys.INPUT_TOKENS) == 100
    assert _attribute(root, keys.REASONING_TOKENS) is None
    assert _attribute(root, keys.STEPS) == 4
    assert _attribute(root, keys.STOP_REASON) == "context_overflow"
    assert root.end_time_unix_nano - root.start_time_unix_nano == 2_500_000_000
    assert root.status.message == "prompt is too long"


@pytest.mark.parametrize("end", [*mapping.END_REASONS, *sorted(mapping.NEEDS_TOOL), "something_new"])
def test_every_end_reason_is_a_stop_reason_and_documented(end: str) -> None:
    """Whatever a file says, the run has one of the closed list; docs/import.md names each known one."""
    reason = mapping.stop_reason({"end_reason": end, "service": "github"}, "find")
    assert reason is not None
    assert StopReason.parse(str(reason)) == reason
    if end == "something_new":
        assert reason == StopReason(StopCode.UNKNOWN, "something_new")
    else:
        assert f"`{end}`" in (Path(__file__).parents[2] / "docs" / "import.md").read_text()


class _Health:
    """The far end of ``wait_until_stored``: answers, or refuses, in turn."""

    def __init__(self, *answers: dict[str, int] | ServerError) -> None:
        self._answers = list(answers)

    def health(self) -> dict[str, int]:
        answer = self._answers.pop(0)
        if isinstance(answer, ServerError):
            raise answer
        return answer


def test_waiting_for_the_store_outlasts_a_server_that_is_not_ready() -> None:
    """A 503 is waited out like anything pending; a server that is not there is an error."""
    busy, idle = {"pending_items": 1, "pending_traces": 0}, {"pending_items": 0, "pending_traces": 0}
    full = ServerError("journal full", status=503)
    assert wait_until_stored(cast("Client", _Health(busy, full, idle)), timeout=60)
    assert not wait_until_stored(cast("Client", _Health()), timeout=0)
    with pytest.raises(ServerError, match="away"):
        wait_until_stored(cast("Client", _Health(ServerError("away"))), timeout=60)
