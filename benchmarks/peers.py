"""Side by side with Phoenix and MLflow from PyPI: spans acknowledged, stored, and lost to kill -9, on the same bodies.

    python -m benchmarks.peers

Each peer is installed into an environment of its own under --cache the first time. All run on this machine, one after
another, with their defaults and without telemetry, and get the same OTLP/HTTP protobuf requests from six connections at
full speed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import CACHE
from benchmarks.load import Load, Result, send
from benchmarks.peer_servers import PEERS, Mlflow, Phoenix, Spanhouse
from benchmarks.server import machine


@dataclass(frozen=True)
class Row:
    """One server's figures: spans a second, and spans acknowledged and missing where it was killed under load."""

    name: str
    acknowledged: float
    refused: int
    stored: float
    unstored: int
    killed_acknowledged: int
    killed_missing: int

    def __str__(self) -> str:
        share = self.killed_missing / max(self.killed_acknowledged, 1)
        return (
            f"| {self.name} | {self.acknowledged:,.0f} | {self.stored:,.0f} | {self.refused:,} | {self.unstored:,} "
            f"| {self.killed_missing:,} of {self.killed_acknowledged:,} ({share:.0%}) |"
        )


def main() -> None:
    """Measure every server and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="length of the load")
    parser.add_argument("--drain", type=float, default=60, help="seconds each server has to store what it acknowledged")
    parser.add_argument("--body-spans", type=int, default=168)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the peers' environments are kept")
    parser.add_argument("--only", nargs="+", default=[], help="names, or their beginnings")
    arguments = parser.parse_args()
    print(machine())
    missing = f"missing after kill -9, restart and {arguments.drain:.0f} s"
    print(f"| server | acknowledged/s | stored/s | refused | not stored in time | {missing} |")
    print("|---|---|---|---|---|---|")
    for kind in PEERS:
        if not arguments.only or kind.name.startswith(tuple(arguments.only)):
            print(_row(kind, arguments), flush=True)


def _row(kind: type[Spanhouse | Phoenix | Mlflow], arguments: argparse.Namespace) -> Row:
    with tempfile.TemporaryDirectory(prefix="spanhouse-peers-") as directory:
        result, stored, seconds = _load(kind, Path(directory), arguments)
    with tempfile.TemporaryDirectory(prefix="spanhouse-peers-") as directory:
        killed, left = _kill(kind, Path(directory), arguments)
    return Row(
        name=kind.name,
        acknowledged=result.rate,
        refused=result.failed,
        stored=stored / seconds,
        unstored=result.acknowledged - stored,
        killed_acknowledged=killed.acknowledged,
        killed_missing=killed.acknowledged - left,
    )


def _load(
    kind: type[Spanhouse | Phoenix | Mlflow], directory: Path, arguments: argparse.Namespace
) -> tuple[Result, int, float]:
    peer = kind(directory, arguments.cache)
    peer.start()
    try:
        result = send(peer.port, Load(arguments.body_spans, headers=peer.headers), seconds=arguments.seconds)
        stored, drained = peer.settle(result.acknowledged, arguments.drain)
    finally:
        peer.kill()
    return result, stored, result.seconds + drained


def _kill(
    kind: type[Spanhouse | Phoenix | Mlflow], directory: Path, arguments: argparse.Namespace
) -> tuple[Result, int]:
    peer = kind(directory, arguments.cache)
    peer.start()
    try:
        result = send(peer.port, Load(arguments.body_spans, headers=peer.headers), seconds=5)
        peer.kill()
        peer.start()
        stored, _ = peer.settle(result.acknowledged, arguments.drain)
    finally:
        peer.kill()
    return result, stored


if __name__ == "__main__":
    main()
