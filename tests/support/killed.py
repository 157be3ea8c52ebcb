"""Agents in processes of their own that are killed while they work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.support.otlp_sink import OtlpSink

SCRIPT = """
import os, sys
import spanhouse as sh
sh.init("shop", url=sys.argv[1], tenant="acme")
number = 0
with sh.run("job", request_id=sys.argv[2]) as run:
    while True:
        with sh.tool_call("look", {"n": number}) as call:
            call.result(number)
        run.event("decision", option=str(number))
        number += 1
        os.write(1, b".")
"""
"""Says a dot for each event it got past."""


def killed(url: str, *, seconds: float, request_id: str = "R-1") -> int:
    """Run an agent, kill it ``seconds`` after its first event, and return how many events it got past."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, request_id], stdout=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    told = len(os.read(process.stdout.fileno(), 1))
    until = time.monotonic() + seconds
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() < until:
        time.sleep(0.002)
        told += _dots(process.stdout.fileno())
    process.send_signal(signal.SIGKILL)
    process.wait()
    while more := _dots(process.stdout.fileno()):
        told += more
    process.stdout.close()
    return told


def runs_in(sink: OtlpSink, event: str) -> list[int]:
    """Return the numbers of the agent's events that arrived, each once."""
    return sorted({int(log.data["option"]) for log in sink.logs_named(event)})


def _dots(descriptor: int) -> int:
    try:
        return len(os.read(descriptor, 65536))
    except BlockingIOError:
        return 0
