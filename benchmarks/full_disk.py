"""A disk that is full for a while, under journal, store and state alike: a small tmpfs filled to the brim."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.senders import Check, Senders
from benchmarks.server import Server

from spanhouse_storage import open_store

SIZE_MB = 768


@dataclass(frozen=True)
class FullDiskReport:
    """What a full disk left.

    Attributes:
        check: what became of the spans.
        acknowledged_while_full: spans, after the senders' open requests were answered.
        refused_while_full: requests.
    """

    check: Check
    acknowledged_while_full: int
    refused_while_full: int


@contextmanager
def small_disk(folder: Path, size_mb: int = SIZE_MB) -> Iterator[Path]:
    """Lend a file system of its own in memory.

    Raises:
        PermissionError: this user may not mount one.
    """
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        raise PermissionError(mounted.stderr.decode())
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(disk: Path, *, seconds: float, rate: float) -> FullDiskReport:
    """Fill the disk for so many seconds and return what that left.

    Args:
        disk: a small file system of its own; the server's data goes there.
        seconds: it stays full.
        rate: spans a second that four senders try to send throughout.
    """
    filler = disk / "filler"
    with Server(disk / "data") as server:
        with Senders(server.port, rate=rate) as senders:
            senders.wait_for(int(rate))
            refused = senders.refused
            _fill(filler)
            # What was being written when the disk filled up may still have found its place.
            time.sleep(0.5)
            acknowledged = senders.acknowledged
            time.sleep(seconds)
            acknowledged, refused = senders.acknowledged - acknowledged, senders.refused - refused
            filler.unlink()
            senders.wait_for(int(rate))
        server.drain()
    with closing(open_store(str(disk / "data" / "store"))) as store:
        return FullDiskReport(senders.check(store), acknowledged, refused)


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(b"\0" * (1 << 20))
