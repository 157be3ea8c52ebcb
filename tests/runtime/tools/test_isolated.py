"""A tool in a process of its own: its time limit holds whatever it does, and its failures come back as they were."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support import isolated_tools as far
from tests.support.agents import calls, says

from spanhouse.classification import classify
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.isolated import IsolatedCall, IsolatedCrash
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tools import ToolFailure, tool
from spanhouse_runtime.worker import call_with_deadline, left_running


def run(function: Any, **values: Any) -> Any:
    return IsolatedCall(function, values).run()


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting for the kernel to say so."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_a_function_returns_comes_back_from_another_process() -> None:
    assert run(far.double, number=21) == 42
    assert run(far.doubled_later, number=21) == 42
    assert run(far.process_id) != os.getpid()
    assert run(far.decorated.function, number=4) == 8


def test_what_a_tool_prints_does_not_spoil_its_answer() -> None:
    assert run(far.noisy) == "answer"


def test_a_result_that_cannot_be_carried_over_is_shown() -> None:
    assert "lock" in run(far.unpicklable)


def test_a_failure_comes_back_with_its_type_its_cause_and_what_it_says() -> None:
    with pytest.raises(ToolFailure, match="no line") as failure:
        run(far.declined)
    assert (failure.value.retry_after, failure.value.hint) == (3, "wait a little")
    assert classify(failure.value) == "unavailable"


def test_an_exception_that_cannot_be_carried_over_comes_back_by_name_and_message() -> None:
    with pytest.raises(IsolatedCrash, match=r"Odd: .* and two"):
        run(far.odd)


def test_a_crash_is_told_with_the_signal_and_leaves_the_caller_unharmed() -> None:
    with pytest.raises(IsolatedCrash, match="ended by signal SIGABRT and gave no answer"):
        run(far.crash)


def test_a_tool_that_exits_has_failed_and_the_agent_goes_on() -> None:
    model = ScriptedModel([calls("quit_process"), says("did without")])
    result = Agent("clerk", model, [tool(far.quit_process, isolate=True)]).run("Go")
    assert (str(result.stop_reason), result.tools["quit_process"].failed) == ("finish", 1)


def test_a_tool_that_hangs_in_c_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    call = IsolatedCall(far.hang_in_c, {"pid_file": str(pids)})

    def stop() -> None:
        if pids.exists() and pids.read_text().count(" "):
            raise TimeoutError

    with pytest.raises(TimeoutError):
        call_with_deadline(call.run, {}, timeout=60, check=stop, kill=call.kill)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_an_isolated_tool_out_of_time_leaves_nothing_running(tmp_path: Path) -> None:
    model = ScriptedModel([calls("hang_in_c", pid_file=str(tmp_path / "pids")), says("gave up")])
    slow = tool(far.hang_in_c, isolate=True, timeout_seconds=0.2)
    before = left_running()
    result = Agent("clerk", model, [slow], on_timeout="tell_model").run("Go")
    assert (str(result.stop_reason), result.tools["hang_in_c"].failed) == ("finish", 1)
    assert (result.tools["hang_in_c"].left_running, left_running()) == (0, before)


def test_a_call_killed_before_it_began_never_begins() -> None:
    call = IsolatedCall(far.double, {"number": 1})
    call.kill()
    with pytest.raises(IsolatedCrash, match="before its process was started"):
        call.run()


def test_a_function_another_process_cannot_find_is_refused_when_the_tool_is_made() -> None:
    def inner() -> None:
        """Nowhere to be found."""

    with pytest.raises(ConfigurationError, match=r"isolate=True .* move .*inner to the top level of a module"):
        tool(inner, isolate=True)
    with pytest.raises(ConfigurationError, match="isolate=True"):
        tool(lambda: None, name="nameless", isolate=True)
