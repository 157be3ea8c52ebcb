"""Warnings the SDK gives about itself: each once a process, through ``logging``, never as an exception."""

from __future__ import annotations

import logging
import os
import threading

_LOG = logging.getLogger("spanhouse")
_said: set[str] = set()
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def warn_once(topic: str, message: str) -> None:
    """Log ``message`` as a warning the first time this topic comes up; later calls for the topic do nothing."""
    with _lock:
        if topic in _said:
            return
        _said.add(topic)
    _LOG.warning(message)


def forget() -> None:
    """Let every topic be warned about again; called when telemetry is set up anew."""
    with _lock:
        _said.clear()
