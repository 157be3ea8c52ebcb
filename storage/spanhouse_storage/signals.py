"""Undoing the engine's signal handlers, with which a native crash would hang for ever instead of ending the process."""

from __future__ import annotations

import ctypes
import signal

_FATAL = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTSTP)


def restore_defaults() -> None:
    """Give the six signals that the engine catches back to the system; works from any thread.

    `signal.signal` is refused outside the main thread, while a store may be opened by a worker; the interpreter's own
    C function has no such limit.
    """
    setsig = ctypes.pythonapi.PyOS_setsig
    setsig.argtypes = [ctypes.c_int, ctypes.c_void_p]
    setsig.restype = ctypes.c_void_p
    for number in _FATAL:
        setsig(number, None)
