"""Why a call failed: the closed error type, the exception's own name and the first line of what was said."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from spanhouse.errors import ErrorType

MAX_MESSAGE: Final = 2_000

# Asked in this order: the more telling sign first. Words are matched in "<code> <exception> <message>", lower case.
_SIGNS: Final[tuple[tuple[ErrorType, re.Pattern[str]], ...]] = tuple(
    (error_type, re.compile(pattern))
    for error_type, pattern in (
        (ErrorType.RATE_LIMIT, r"\b429\b|rate.?limit|too.?many.?requests|resource.?exhausted|throttl|quota"),
        (ErrorType.CONTENT_FILTER, r"content.?(filter|policy)|responsible.?ai|\bsafety\b|moderation|guardrail"),
        (ErrorType.TIMEOUT, r"\b(408|504)\b|time.?out|timed out|deadline.?exceeded"),
        (
            ErrorType.AUTH,
            r"\b(401|403)\b|unauthori[sz]ed|unauthenticated|forbidden|permission.?denied|authenti|api.?key",
        ),
        (
            ErrorType.UNAVAILABLE,
            r"\b(50[023]|529)\b|unavailable|overload|connect|network|refused|reset|server.?error|broken.?pipe|\bdown\b",
        ),
        (
            ErrorType.MALFORMED,
            r"json.?decode|malformed|unexpected.?(token|model|end)|unparsable|pars(e|ing).?error|outputparser",
        ),
        (
            ErrorType.INVALID_INPUT,
            r"\b(400|404|413|422)\b|invalid|validation|bad.?request|not.?found|missing|(value|type|key|index)error",
        ),
    )
)
_KNOWN: Final = frozenset(ErrorType)
_TRACEBACK: Final = "Traceback (most recent call last):"


@lru_cache(maxsize=4096)
def error_type(declared: str, code: str, exception: str, message: str) -> str:
    """Return the closed error type of a failure.

    Args:
        declared: the type the agent itself gave; taken if it is one of the closed list.
        code: ``error.type`` or a status code.
        exception: name of the exception.
        message: what was said; its first line is enough.
    """
    if declared in _KNOWN:
        return declared
    if code in _KNOWN:
        return code
    said = f"{code} {exception} {message}".lower()
    return next((found for found, sign in _SIGNS if sign.search(said)), ErrorType.OTHER).value


def first_line(message: str) -> str:
    """Return the first line of a message, without the traceback that some emitters append to it."""
    line = message[: MAX_MESSAGE * 2].split(_TRACEBACK, 1)[0].strip().split("\n", 1)[0].rstrip()
    return line[:MAX_MESSAGE]
