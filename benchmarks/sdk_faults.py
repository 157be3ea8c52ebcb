"""Kills agents at random moments, lets the next start ship what they left, and counts what is missing.

``python -m benchmarks.sdk_faults --runs 200`` is test 2 of the fault table: no audit event may be lost, and of spans no
more than the last 200 ms. A dot that an agent writes after an event says that it got past it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.support.otlp_sink import OtlpSink

import spanhouse as sh

AGENT = """
import os, sys, time
import spanhouse as sh
sh.init("agent", url=sys.argv[1], process_metrics=False)
number = 0
with sh.run("job", request_id=sys.argv[2]) as run:
    os.write(1, b"%d %d\\n" % (-1, time.time_ns()))
    while True:
        with sh.tool_call("look", {"n": number}) as call:
            call.result(number)
        run.event("decision", option=str(number))
        os.write(1, b"%d %d\\n" % (number, time.time_ns()))
        number += 1
        time.sleep(0.002)
"""


@dataclass(frozen=True)
class Lost:
    """What is missing after all was shipped.

    Attributes:
        killed: how many agents.
        events: audit events they got past.
        events_lost: of these.
        spans: tool calls they got past.
        spans_lost: of these.
        worst_ms: how long before its end an agent had finished the oldest span it lost.
        p95_ms: the same of all but the worst twentieth of the agents.
    """

    killed: int
    events: int
    events_lost: int
    spans: int
    spans_lost: int
    worst_ms: float
    p95_ms: float


def kill_agents(runs: int, *, at_once: int = 4, longest: float = 1.5, seed: int = 1) -> Lost:
    """Kill ``runs`` agents after a random time each, ship what they left, and return what is missing.

    Args:
        runs: how many.
        at_once: how many work side by side.
        longest: seconds from an agent's first word that it lives at most.
        seed: of the moments.
    """
    random = Random(seed)
    told: dict[str, list[tuple[int, int]]] = {}
    ended: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as spool, OtlpSink() as sink:
        os.environ["SPANHOUSE_SPOOL"] = spool
        for first in range(0, runs, at_once):
            names = [f"R-{number}" for number in range(first, min(first + at_once, runs))]
            _round(names, sink.url, random, longest, told, ended)
        sh.init("agent", url=sink.url, process_metrics=False)
        for _ in range(20):
            if sh.flush(30):
                break
        sh.shutdown()
        left = [path.name for path in Path(spool).iterdir()]
        if left:
            print(f"left in the spool: {left}")
        return _missing(sink, told, ended)


def _round(
    names: list[str],
    url: str,
    random: Random,
    longest: float,
    told: dict[str, list[tuple[int, int]]],
    ended: dict[str, int],
) -> None:
    agents = {
        name: subprocess.Popen([sys.executable, "-c", AGENT, url, name], stdout=subprocess.PIPE) for name in names
    }
    moments = {}
    for name, agent in agents.items():
        assert agent.stdout is not None
        told[name] = [_said(agent.stdout.readline())]
        moments[name] = time.monotonic() + random.uniform(0, longest)
    for name in sorted(moments, key=lambda name: moments[name]):
        time.sleep(max(0.0, moments[name] - time.monotonic()))
        agents[name].send_signal(signal.SIGKILL)
        ended[name] = time.time_ns()
    for name, agent in agents.items():
        assert agent.stdout is not None
        told[name] += [_said(line) for line in agent.stdout if line.endswith(b"\n")]
        agent.wait()
        agent.stdout.close()


def _said(line: bytes) -> tuple[int, int]:
    number, moment = line.split()
    return int(number), int(moment)


def _missing(sink: OtlpSink, told: dict[str, list[tuple[int, int]]], ended: dict[str, int]) -> Lost:
    events, spans = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for log in sink.logs_named("decision"):
        events[log.attributes["spanhouse.request_id"]].add(int(log.data["option"]))
    for log in sink.logs_named("run.start"):
        events[log.attributes["spanhouse.request_id"]].add(-1)
    for span in sink.spans:
        if span.name == "execute_tool look":
            spans[span.attributes["spanhouse.request_id"]].add(int(span.attributes["gen_ai.tool.call.result"]))
    events_lost = [(name, number) for name, said in told.items() for number, _ in said if number not in events[name]]
    spans_lost = {
        name: [ended[name] - moment for number, moment in said if number >= 0 and number not in spans[name]]
        for name, said in told.items()
    }
    oldest = sorted(max(ages, default=0) / 1e6 for ages in spans_lost.values())
    total, missing = sum(len(said) for said in told.values()), sum(len(ages) for ages in spans_lost.values())
    p95 = oldest[int(len(oldest) * 0.95)]
    return Lost(len(told), total, len(events_lost), total - len(told), missing, oldest[-1], p95)


def main() -> None:
    """Print what was lost; ends with 1 where it is more than may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lost = kill_agents(options.runs, at_once=options.at_once, seed=options.seed)
    print(lost)
    if lost.events_lost:
        sys.exit(1)


if __name__ == "__main__":
    main()
