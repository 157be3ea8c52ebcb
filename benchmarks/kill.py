"""How soon agents stop once an operator says so: agents in processes and threads, a real server, one flag.

    python -m benchmarks.kill --agents 50 --processes 5

Each agent calls a tool of 20 ms again and again under a guard that follows the server's flags. After a few seconds an
operator stops everything. Of each agent it is measured when its last call began and when its run was over, both from
the moment the operator's request was sent.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.server import free_port

NO_NEW_CALL_SECONDS = 1.0
STOPPED_SECONDS = 2.0
CALL_SECONDS = 0.02
WARM_SECONDS = 2.0
START_SECONDS = 60.0


def agents(url: str, threads: int, ready: Any, told: Any) -> None:  # noqa: ANN401 - multiprocessing's own
    """Run agents of one process, each in a thread, and tell of each when its last call began and its run ended."""
    from spanhouse.client import Client  # noqa: PLC0415 - in the child
    from spanhouse.control import ControlPoller  # noqa: PLC0415
    from spanhouse_runtime.control import Control  # noqa: PLC0415
    from spanhouse_runtime.guard import Guard  # noqa: PLC0415
    from spanhouse_runtime.limits import Limits  # noqa: PLC0415
    from spanhouse_runtime.policy import Policy  # noqa: PLC0415

    limits = Limits(max_tool_calls=1_000_000, max_steps=1_000_000)
    poller = ControlPoller(Client(url, token=""), cache="")

    def one() -> None:
        guard = Guard("worker", policy=Policy(allow=("*",)), limits=limits, control=Control(poller))
        last, calls = 0.0, 0
        with guard.run("job") as guarded:
            while True:
                calls += 1
                with guarded.tool("work", {"n": calls}) as call:
                    last = time.time()
                    time.sleep(CALL_SECONDS)
                    call.result(calls)
        told.put({"last": last, "over": time.time(), "calls": calls, "reason": str(guarded.stopped)})

    with poller:
        poller.wait_for_first(30)
        running = [threading.Thread(target=one) for _ in range(threads)]
        for thread in running:
            thread.start()
        ready.release()
        for thread in running:
            thread.join()


def measured(url: str, operator_token: str, count: int, processes: int) -> dict[str, Any]:
    """Return when agents stopped: seconds from the operator's request to the last new call and to the run's end."""
    from spanhouse.client import Client  # noqa: PLC0415 - children need it not

    context = multiprocessing.get_context("spawn")
    ready, told = context.Semaphore(0), context.Queue()
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    children = [context.Process(target=agents, args=(url, share, ready, told), daemon=True) for share in shares]
    for child in children:
        child.start()
    for _ in children:
        if not ready.acquire(timeout=START_SECONDS):
            msg = "a process of agents did not start in time"
            raise RuntimeError(msg)
    time.sleep(WARM_SECONDS)
    with Client(url, token=operator_token) as operator:
        said = time.time()
        operator.set_control("stop", "all", reason="benchmark", by="benchmark")
        taken = time.time() - said
        found = [told.get(timeout=60) for _ in range(count)]
        operator.set_control("enable", "all", by="benchmark")
    for child in children:
        child.join(30)
    last = sorted(max(0.0, each["last"] - said) for each in found)
    over = sorted(each["over"] - said for each in found)
    return {
        "agents": count,
        "processes": processes,
        "calls_before": sum(each["calls"] for each in found),
        "reasons": sorted({each["reason"] for each in found}),
        "flag_set_s": round(taken, 3),
        "last_new_call_s": round(last[-1], 3),
        "stopped_p50_s": round(over[len(over) // 2], 3),
        "stopped_p95_s": round(over[int(len(over) * 0.95)], 3),
        "stopped_max_s": round(over[-1], 3),
    }


def main() -> int:
    """Measure, print JSON, and return 1 where a figure is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--agents", type=int, default=50)
    options.add_argument("--processes", type=int, default=5)
    chosen = options.parse_args()
    os.environ["SPANHOUSE_CONTROL_CACHE"] = ""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        data, url = Path(folder) / "data", f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "spanhouse_server", "up", "--data", str(data), "--http", f"127.0.0.1:{port}"]
        environment = {**os.environ, "SPANHOUSE_GRPC": "", "SPANHOUSE_UI": "false"}
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            _wait(url)
            result = measured(url, (data / "operator.token").read_text().strip(), chosen.agents, chosen.processes)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    print(json.dumps(result))
    good = result["last_new_call_s"] <= NO_NEW_CALL_SECONDS and result["stopped_p95_s"] <= STOPPED_SECONDS
    return 0 if good and result["reasons"] == ["operator_kill"] else 1


def _wait(url: str) -> None:
    from spanhouse.client import Client  # noqa: PLC0415 - children need it not
    from spanhouse.errors import ServerError  # noqa: PLC0415

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with Client(url, token="") as client:
                client.control()
                return
        except ServerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(main())
