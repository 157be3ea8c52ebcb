"""Doing something until it works: what the pipeline does about a store or a disk that is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from spanhouse.errors import SpanhouseError

T = TypeVar("T")

FIRST_DELAY: Final = 0.2
LONGEST_DELAY: Final = 10.0

_log = logging.getLogger(__name__)


class StoppedError(SpanhouseError):
    """The pipeline is stopping; what was being done stays in the journal for the next start."""


def until_it_works(
    what: str,
    action: Callable[[], T],
    stopping: threading.Event,
    *,
    unless: Callable[[Exception], bool] = lambda _: False,
    on_retry: Callable[[], None] = lambda: None,
) -> T:
    """Return what the action returns, however often it must be tried.

    Args:
        what: the action in words, for the log: "insert 100 rows into spans".
        action: safe to repeat.
        stopping: set when the pipeline stops; ends the waiting.
        unless: says of an error that repeating is no use; it is raised.
        on_retry: called before each repeat.

    Raises:
        StoppedError: the pipeline stops.
    """
    delay = FIRST_DELAY
    while True:
        try:
            return action()
        except StoppedError:
            raise
        except Exception as error:
            if unless(error):
                raise
            expected = isinstance(error, SpanhouseError | OSError)
            # An unforeseen error must not end the thread: the journal would fill up behind it without a word.
            _log.warning("could not %s, trying again in %.1f s: %s", what, delay, error, exc_info=not expected)
        if stopping.wait(delay):
            msg = f"stopped while trying to {what}"
            raise StoppedError(msg)
        on_retry()
        delay = min(delay * 2, LONGEST_DELAY)
