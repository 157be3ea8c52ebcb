"""What a flag says beside whom it names: limits, or what becomes of a run's next call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spanhouse_runtime.policies.resources import check_pattern

LIMITS: Final = ("max_steps", "max_tool_calls", "max_seconds", "max_usd", "max_tokens")
"""The limits of a run that an operator may change while it goes; in the units people set them in."""

_WHOLE: Final = frozenset({"max_steps", "max_tool_calls", "max_tokens"})
LARGEST: Final = 1e15
LARGEST_ARGUMENTS: Final = 48 * 1024


def checked_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """Return limits an operator may set.

    Raises:
        ValueError: there are none, one is unknown, or one is no amount.
    """
    if not limits:
        msg = f"limits are needed: one or more of {', '.join(LIMITS)}"
        raise ValueError(msg)
    for name, value in limits.items():
        if name not in LIMITS:
            msg = f"limit {name[:80]!r} is unknown: it must be one of {', '.join(LIMITS)}"
            raise ValueError(msg)
        if not math.isfinite(value) or not 0 <= value <= LARGEST or (value == 0 and name != "max_usd"):
            msg = f"{name} is {value!r}: it must be a number above 0, up to {LARGEST:g}; max_usd may be 0"
            raise ValueError(msg)
        if name in _WHOLE and value != int(value):
            msg = f"{name} is {value!r}: it must be a whole number"
            raise ValueError(msg)
    return {name: int(value) if name in _WHOLE else float(value) for name, value in limits.items()}


def checked_grant(scope: str, tool: str, ttl_seconds: float | None, resources: Mapping[str, Sequence[str]]) -> None:
    """Return if a grant says what it lets through, to whom, and until when.

    Raises:
        ValueError: it does not, or names resources in a way that would match nothing.
    """
    if scope == "tool" or not tool:
        msg = "a grant needs the tool it lets through as tool, a glob, and whom it is for as scope: run, user, agent, …"
        raise ValueError(msg)
    if ttl_seconds is None:
        msg = "a grant ends: say in how many seconds as ttl_seconds"
        raise ValueError(msg)
    for glob in (glob for globs in resources.values() for glob in globs):
        check_pattern(glob)
    if not all(resources.values()):
        msg = "an argument without a glob would match nothing: leave it out to let any resource through"
        raise ValueError(msg)


def checked_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments a call may be made with: an object that JSON has a form for, of bounded size.

    Raises:
        ValueError: it holds NaN or an infinity, or is too large.
    """
    try:
        text = json.dumps(arguments, allow_nan=False)
    except (ValueError, RecursionError) as error:
        msg = f"the arguments are no plain JSON: {error}"
        raise ValueError(msg) from error
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_ARGUMENTS:
        msg = f"the arguments take more than {LARGEST_ARGUMENTS // 1024} KiB as JSON"
        raise ValueError(msg)
    return dict(arguments)
