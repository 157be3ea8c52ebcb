"""A decode child that stops answering, and comes back or does not."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.senders import Check, Senders
from benchmarks.server import Server, children

from spanhouse_storage import open_store


@dataclass(frozen=True)
class StuckChildReport:
    """What a stuck decode child cost.

    Attributes:
        check: what became of the spans.
        acknowledged_meanwhile: spans acknowledged while it was stuck.
        replaced: whether another child had taken its place in the end.
    """

    check: Check
    acknowledged_meanwhile: int
    replaced: bool


def stuck_child(directory: Path, *, seconds: float, rate: float, wake: bool) -> StuckChildReport:
    """Stop the decode child for so many seconds.

    Args:
        directory: for the server's data.
        seconds: it is stopped.
        rate: spans a second that four senders send throughout.
        wake: let it go on afterwards; else it is killed, unless the collector has already given it up.
    """
    with Server(directory / "data") as server:
        with Senders(server.port, rate=rate) as senders:
            senders.wait_for(int(rate))
            child = _decode_child(server)
            os.kill(child, signal.SIGSTOP)
            before = senders.acknowledged
            time.sleep(seconds)
            meanwhile = senders.acknowledged - before
            if child in children(server.process.pid):
                os.kill(child, signal.SIGCONT if wake else signal.SIGKILL)
            senders.wait_for(int(rate))
        server.drain()
        replaced = _decode_child(server) != child
    with closing(open_store(str(directory / "data" / "store"))) as store:
        return StuckChildReport(senders.check(store), meanwhile, replaced)


def _decode_child(server: Server) -> int:
    for pid in children(server.process.pid):
        if b"spanhouse_collector.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    msg = "the server has no decode child"
    raise RuntimeError(msg)
