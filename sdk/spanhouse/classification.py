"""Which of the closed error types a Python exception is, judged by what the exception itself says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from spanhouse.errors import ErrorType

_BY_STATUS = {
    400: ErrorType.INVALID_INPUT,
    401: ErrorType.AUTH,
    403: ErrorType.AUTH,
    404: ErrorType.INVALID_INPUT,
    408: ErrorType.TIMEOUT,
    413: ErrorType.INVALID_INPUT,
    422: ErrorType.INVALID_INPUT,
    429: ErrorType.RATE_LIMIT,
    504: ErrorType.TIMEOUT,
}
_SERVER_ERROR = 500
_BY_NAME = (
    (re.compile(r"rate_?limit|too_?many_?requests|throttl|quota", re.IGNORECASE), ErrorType.RATE_LIMIT),
    (re.compile(r"time_?d?_?out|deadline", re.IGNORECASE), ErrorType.TIMEOUT),
    (re.compile(r"content_?(filter|policy)|safety|moderation", re.IGNORECASE), ErrorType.CONTENT_FILTER),
    (re.compile(r"auth|permission|forbidden|credential|access_?denied", re.IGNORECASE), ErrorType.AUTH),
    (re.compile(r"connect|unavailable|overloaded|server_?error|network", re.IGNORECASE), ErrorType.UNAVAILABLE),
    (re.compile(r"pars(e|ing)|malformed|decode|unexpected_?model|bad_?response", re.IGNORECASE), ErrorType.MALFORMED),
    (re.compile(r"validation|invalid|bad_?request|unprocessable", re.IGNORECASE), ErrorType.INVALID_INPUT),
)
_BY_CLASS: tuple[tuple[tuple[type[BaseException], ...], ErrorType], ...] = (
    ((TimeoutError,), ErrorType.TIMEOUT),
    ((PermissionError,), ErrorType.AUTH),
    ((json.JSONDecodeError, UnicodeDecodeError), ErrorType.MALFORMED),
    ((ConnectionError,), ErrorType.UNAVAILABLE),
)
_PYTHON_INPUT = (TypeError, ValueError, LookupError)


def classify(error: BaseException) -> ErrorType:
    """Return the error type of an exception.

    Looks, for the exception and then for what caused it, at an HTTP status it carries, at built-in classes, at the
    class's name; what stays open is ``invalid_input`` for a TypeError, ValueError or LookupError, else ``other``.
    """
    for link in _chain(error):
        if (found := _of_one(link)) is not None:
            return found
    return ErrorType.INVALID_INPUT if isinstance(error, _PYTHON_INPUT) else ErrorType.OTHER


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _of_one(error: BaseException) -> ErrorType | None:
    status = _status(error)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _SERVER_ERROR:
        return ErrorType.UNAVAILABLE
    for classes, error_type in _BY_CLASS:
        if isinstance(error, classes):
            return error_type
    for kind in type(error).__mro__:
        # The names of Python's own classes have been judged above, and say less than a library's.
        if kind.__module__ != "builtins":
            for pattern, error_type in _BY_NAME:
                if pattern.search(kind.__name__):
                    return error_type
    return None


def _status(error: BaseException) -> int:
    for holder in (error, _told(error, "response")):
        for name in ("status_code", "status", "code"):
            value = _told(holder, name)
            if isinstance(value, int) and not isinstance(value, bool):
                return int(value)
    return 0


def _told(holder: object, name: str) -> object:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody's own exception; without it, its name says the rest
        return None
