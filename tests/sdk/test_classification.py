"""Which closed error type an exception is."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.classification import classify
from spanhouse.errors import ErrorType


def named(name: str, bases: tuple[type[BaseException], ...] = (Exception,), **attributes: Any) -> BaseException:
    """Return an exception of a new class, as a provider's library would define it."""
    error = type(name, bases, {"__module__": "provider.errors", **attributes})()
    assert isinstance(error, BaseException)
    return error


def caused_by(cause: BaseException) -> RuntimeError:
    """Return an exception that wraps another."""
    wrapper = RuntimeError("the call failed")
    wrapper.__cause__ = cause
    return wrapper


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (named("RateLimitError"), "rate_limit"),
        (named("APIStatusError", status_code=429), "rate_limit"),
        (named("ThrottlingException"), "rate_limit"),
        (TimeoutError(), "timeout"),
        (named("APITimeoutError"), "timeout"),
        (named("ReadTimeout", (requests.ConnectionError,)), "timeout"),
        (named("HTTPError", response=SimpleNamespace(status_code=504)), "timeout"),
        (json.JSONDecodeError("no", "", 0), "malformed"),
        (named("OutputParserException"), "malformed"),
        (named("ContentFilterFinishReasonError"), "content_filter"),
        (named("AuthenticationError"), "auth"),
        (named("ClientError", code=403), "auth"),
        (PermissionError(), "auth"),
        (ConnectionRefusedError(), "unavailable"),
        (requests.ConnectionError(), "unavailable"),
        (named("InternalServerError"), "unavailable"),
        (named("ClientError", status=503), "unavailable"),
        (named("ValidationError", (ValueError,)), "invalid_input"),
        (named("BadRequestError", status_code=400), "invalid_input"),
        (TypeError(), "invalid_input"),
        (KeyError("order"), "invalid_input"),
        (caused_by(TimeoutError()), "timeout"),
        (caused_by(ValueError()), "other"),
        (RuntimeError(), "other"),
        (named("Strange", status_code=True), "other"),
        (named("Strange", status_code="429"), "other"),
    ],
)
def test_known_failures_get_their_type(error: BaseException, expected: str) -> None:
    """Status first, then built-in classes, then the name, for the exception and for what caused it."""
    assert classify(error) == expected


def test_a_cycle_of_causes_ends() -> None:
    """Exceptions can be made each other's cause."""
    one, two = RuntimeError(), RuntimeError()
    one.__cause__, two.__cause__ = two, one
    assert classify(one) is ErrorType.OTHER


@given(st.integers(), st.from_regex(r"[A-Z][a-zA-Z]{0,20}", fullmatch=True))
def test_every_exception_has_a_type(status: int, name: str) -> None:
    """The list is closed and complete."""
    assert classify(named(name, status_code=status)) in set(ErrorType)
