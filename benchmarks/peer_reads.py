"""Reads side by side with Phoenix and MLflow from PyPI, each at the size it can hold, and Spanhouse at the same size.

    python -m benchmarks.peer_reads

A peer is sent the same OTLP/HTTP bodies over one connection until it has --spans spans or --seconds are over, and then
gets as long again to store them; Spanhouse is loaded with as many spans. Then each is asked --calls times for the
newest page of 50, for one trace with everything in it, and for a word. What a word is looked for in differs: Phoenix
compares a span's input and output, MLflow the whole text of its spans, Spanhouse what runs and their spans were asked
and answered; how many rows were found on average is printed beside the time. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode

from benchmarks.bodies import SPANS_A_RUN, bodies
from benchmarks.connection import Connection
from benchmarks.environments import CACHE
from benchmarks.load import quantile
from benchmarks.peer_servers import PEERS, Mlflow, Peer, Phoenix, Spanhouse
from benchmarks.server import machine

PAGE: Final = 50
BODY_SPANS: Final = 168
TAPE: Final = 12
_OK: Final = 200
_JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True)
class Ask:
    """One request, and where in its answer the rows are."""

    path: str
    rows: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reads:
    """How a server is asked: for the newest page, for a trace, for a word."""

    newest: Callable[[], Ask]
    trace: Callable[[str], Ask]
    word: Callable[[str], Ask]


def main() -> None:
    """Measure every peer beside Spanhouse and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=20_000, help="at most so many are loaded")
    parser.add_argument("--seconds", type=float, default=60, help="time a peer has to take them")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the peers' environments are kept")
    parser.add_argument("--only", nargs="+", default=[], help="peers' names, or their beginnings")
    arguments = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    print("| server | spans | newest 50, p50 / p95 ms | one trace | a word | rows: page, trace, word |")
    print("|---|---|---|---|---|---|")
    for kind in PEERS[1:]:
        if not arguments.only or kind.name.startswith(tuple(arguments.only)):
            size = _measured(kind, arguments.spans, arguments)
            _measured(Spanhouse, size, arguments)


def _measured(kind: type[Spanhouse | Phoenix | Mlflow], spans: int, arguments: argparse.Namespace) -> int:
    """Load a server, print its line and return how many spans it held."""
    with tempfile.TemporaryDirectory(prefix="spanhouse-reads-") as directory:
        peer = kind(Path(directory), arguments.cache)
        peer.start()
        try:
            acknowledged, traces = _load(peer, spans, arguments.seconds)
            stored = peer.loaded(acknowledged, arguments.seconds)
            times, rows = _read(peer, READS[kind](peer.port), traces, arguments.calls)
        finally:
            peer.kill()
    shown = " | ".join(f"{quantile(each, 0.5) * 1e3:,.0f} / {quantile(each, 0.95) * 1e3:,.0f}" for each in times)
    print(f"| {kind.name} | {stored:,} | {shown} | {', '.join(f'{each:.0f}' for each in rows)} |", flush=True)
    return stored


def _load(peer: Peer, spans: int, seconds: float) -> tuple[int, list[str]]:
    """Return how many spans were acknowledged, and the trace ids of the first pass that are whole."""
    tape, traces = bodies(TAPE, BODY_SPANS), Counter[str]()
    acknowledged, until = 0, time.monotonic() + seconds
    with Connection(peer.port, "/v1/traces", headers=dict(peer.headers), timeout=seconds) as connection:
        for number in itertools.count():
            for body in tape:
                if acknowledged >= spans or time.monotonic() > until:
                    return acknowledged, [trace for trace, taken in traces.items() if taken == SPANS_A_RUN]
                key = f"reads:{number}".encode()
                status, wait = connection.post(body.renewed(key))
                if status == _OK:
                    acknowledged += body.spans
                    traces.update(trace for trace, _ in body.identities(key) if number == 0)
                else:
                    time.sleep(wait or 0.1)
    raise AssertionError


def _read(peer: Peer, reads: Reads, traces: list[str], calls: int) -> tuple[list[list[float]], list[float]]:
    """Return the seconds of every call and the mean number of rows, by what was asked."""
    random = Random(3)
    asked = (
        [reads.newest() for _ in range(calls)],
        [reads.trace(random.choice(traces)) for _ in range(calls)],
        [reads.word(word) for word in random.sample(vocabulary(), calls)],
    )
    times, rows = [], []
    for asks in asked:
        answered = [_answer(peer.port, ask) for ask in asks]
        times.append([seconds for seconds, _ in answered])
        rows.append(sum(found for _, found in answered) / calls)
    return times, rows


def vocabulary() -> list[str]:
    """Return words of the bodies' texts that are neither in every text nor in almost none."""
    random = Random(1)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 10))) for _ in range(4000)]
    return [word for word in words[50:500] if len(word) > 5]


def _answer(port: int, ask: Ask) -> tuple[float, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    if ask.body is None:
        connection.request("GET", ask.path)
    else:
        connection.request("POST", ask.path, json.dumps(ask.body), _JSON)
    response = connection.getresponse()
    content = response.read()
    seconds = time.perf_counter() - begin
    connection.close()
    if response.status != _OK:
        msg = f"{ask.path} was answered {response.status}: {content[:300]!r}"
        raise RuntimeError(msg)
    found: Any = json.loads(content)
    for step in ask.rows.split("."):
        # An empty list is left out of some answers.
        found = found.get(step, [])
    return seconds, len(found)


def _spanhouse(port: int) -> Reads:
    runs = f"/api/v1/runs?limit={PAGE}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/api/v1/runs?limit=1000")
    run_of = {run["trace_id"]: run["run_id"] for run in json.loads(connection.getresponse().read())["runs"]}
    connection.close()
    return Reads(
        newest=lambda: Ask(runs, "runs"),
        trace=lambda trace: Ask(f"/api/v1/runs/{run_of[trace]}/spans?content=true&limit=1000", "spans"),
        word=lambda word: Ask(f"{runs}&text={word}", "runs"),
    )


def _phoenix(port: int) -> Reads:
    project = "/v1/projects/default"
    query = """query ($id: ID!, $word: String!) { node(id: $id) { ... on Project {
        spans(first: 50, filterCondition: $word) { edges { node { spanId name startTime } } } } } }"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", project)
    identifier = json.loads(connection.getresponse().read())["data"]["id"]
    connection.close()

    def word(text: str) -> Ask:
        condition = f"{text!r} in input.value or {text!r} in output.value"
        return Ask(
            "/graphql", "data.node.spans.edges", {"query": query, "variables": {"id": identifier, "word": condition}}
        )

    return Reads(
        newest=lambda: Ask(f"{project}/traces?limit={PAGE}", "data"),
        trace=lambda trace: Ask(f"{project}/spans?{urlencode({'trace_id': trace, 'limit': 1000})}", "data"),
        word=word,
    )


def _mlflow(_: int) -> Reads:
    traces = "/api/3.0/mlflow/traces"
    newest = {
        "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}],
        "max_results": PAGE,
        "order_by": ["timestamp_ms DESC"],
    }
    return Reads(
        newest=lambda: Ask(f"{traces}/search", "traces", newest),
        trace=lambda trace: Ask(f"{traces}/get?trace_id={quote(f'tr-{trace}')}", "trace.spans"),
        word=lambda word: Ask(f"{traces}/search", "traces", {**newest, "filter": f"trace.text LIKE '%{word}%'"}),
    )


READS: Final[dict[type[Peer], Callable[[int], Reads]]] = {Spanhouse: _spanhouse, Phoenix: _phoenix, Mlflow: _mlflow}


if __name__ == "__main__":
    main()
