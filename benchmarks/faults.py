"""Faults under load: is every acknowledged span stored, and once? The long forms of tests/faults.

python -m benchmarks.faults                    # all of them, about a quarter of an hour
python -m benchmarks.faults crash              # one: crash, outage, disk, child
python -m benchmarks.faults outage --seconds 60
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.crash import crash
from benchmarks.full_disk import full_disk, small_disk
from benchmarks.outage import outage
from benchmarks.senders import Check
from benchmarks.server import machine
from benchmarks.stuck_child import stuck_child

FAULTS = ("crash", "outage", "disk", "child")


def main() -> None:
    """Run the faults that were asked for and print what became of the spans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600, help="length of the outage")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    arguments = parser.parse_args()
    print(machine())
    for fault in arguments.only:
        with tempfile.TemporaryDirectory(prefix="spanhouse-faults-") as directory:
            print(
                {"crash": _crash, "outage": _outage, "disk": _disk, "child": _child}[fault](Path(directory), arguments)
            )


def _crash(directory: Path, arguments: argparse.Namespace) -> str:
    report = crash(directory, kills=arguments.kills, rate=4000, alive=(1, 4), seed=arguments.seed)
    return (
        f"{arguments.kills} kill -9 at seeded moments, 4,000 spans/s: {_text(report.check)}; {report.stored:,} stored, "
        f"{report.runs_spans:,} in run facts; ready after {max(report.restarts):.1f} s at most"
    )


def _outage(directory: Path, arguments: argparse.Namespace) -> str:
    report = outage(directory, seconds=arguments.seconds, rate=500)
    return (
        f"store away for {arguments.seconds:.0f} s, 500 spans/s: {_text(report.check)}; {report.waiting:,} waited, "
        f"caught up {report.drain_seconds:.1f} s after its return; memory {report.before} before, {report.peak} at most"
    )


def _disk(directory: Path, _: argparse.Namespace) -> str:
    with small_disk(directory / "disk") as disk:
        report = full_disk(disk, seconds=20, rate=2000)
    return (
        f"disk full for 20 s, 2,000 spans/s: {_text(report.check)}; while full {report.acknowledged_while_full} spans "
        f"acknowledged, {report.refused_while_full} requests refused"
    )


def _child(directory: Path, _: argparse.Namespace) -> str:
    report = stuck_child(directory, seconds=130, rate=2000, wake=True)
    return (
        f"decode child stopped (SIGSTOP) until the collector gives it up, 2,000 spans/s: {_text(report.check)}; "
        f"{report.acknowledged_meanwhile:,} acknowledged meanwhile; {'replaced' if report.replaced else 'not replaced'}"
    )


def _text(check: Check) -> str:
    return (
        f"{check.acknowledged:,} acknowledged, {check.lost} lost, {check.doubled} doubled "
        f"({check.doubled_rows} rows too many; {check.sent_again} spans sent again, {check.refused} requests refused)"
    )


if __name__ == "__main__":
    main()
