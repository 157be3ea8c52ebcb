"""The end of worker processes: those of ``multiprocessing`` leave by ``os._exit``, past what ``atexit`` would do."""

from __future__ import annotations

import sys
from collections.abc import Callable


def finish_with_worker(finish: Callable[[], None]) -> None:
    """Have ``finish`` called when this process, where it is a worker of ``multiprocessing``, ends of its own accord.

    What ends without being asked (``os._exit``, a kill) is not reached; the disk buffer is for that. To be called in
    the worker itself, and not as it starts: its first act is to forget what it was told before.
    """
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, finish, exitpriority=10)
