"""Queues of the application whose depth goes out with the process's other figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spanhouse.notices import warn_once

_queues: dict[str, Callable[[], float]] = {}


def watch_queue(name: str, depth: Callable[[], float]) -> None:
    """Have the depth of a queue of yours sent every ten seconds as ``spanhouse.queue.depth``.

    Args:
        name: tells it from others; a name that was given before takes the new callable.
        depth: returns how many wait now, such as ``queue.qsize``; called in a background thread.
    """
    _queues[name] = depth


def depths() -> Iterator[tuple[str, float]]:
    """Yield name and depth of each queue; one that raises is left out and warned of."""
    for name, depth in list(_queues.items()):
        try:
            yield name, float(depth())
        except Exception as error:  # noqa: BLE001 - the callable is the application's, and may raise anything
            warn_once(
                f"queue-{name}", f"the depth of the queue {name!r} cannot be had: {type(error).__name__}: {error}"
            )
