"""What a failed call comes to: a type, a message for the model, and when or how to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spanhouse.classification import classify
from spanhouse.errors import ErrorType, SpanhouseError
from spanhouse_runtime.credentials import SecretMissing
from spanhouse_runtime.worker import CallTimeout


class ToolFailure(SpanhouseError):  # noqa: N818 - what happened
    """Raised by a tool to say: this did not work, and nothing was done, so that it may be tried again.

    Raise it ``from`` the exception behind it, and the failure is counted under that exception's type.

    Attributes:
        kind: the type of failure, where it is known better than by the exception behind it.
        retry_after: seconds after which it may work.
        hint: what the model can do about it.
    """

    def __init__(
        self, message: str, *, kind: ErrorType | None = None, retry_after: float | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.hint = hint


class ResultRefused(SpanhouseError):  # noqa: N818 - what happened
    """Raised by an ``after_tool`` hook: the model is not to see this result, and is told why."""


class OutputInvalid(SpanhouseError):  # noqa: N818 - what happened
    """A tool returned what does not fit the output it declares."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call.

    Attributes:
        kind: one of the closed error types.
        name: the exception's class.
        message: for the model and the record.
        retry_after: seconds after which it may work; None where nobody said.
        hint: what the model can do about it.
        nothing_done: the tool says that the call had no effect.
        timed_out: it did not answer in time.
        left_running: it could not be stopped, and still runs.
    """

    kind: ErrorType
    name: str
    message: str
    retry_after: float | None = None
    hint: str = ""
    nothing_done: bool = False
    timed_out: bool = False
    left_running: bool = False


def failure_of(tool: str, problem: BaseException) -> Failure:
    """Return what a call of a tool that raised comes to."""
    name = type(problem).__name__
    if isinstance(problem, CallTimeout):
        return Failure(ErrorType.TIMEOUT, name, f"{tool}: {problem}", timed_out=True, left_running=problem.left_running)
    if isinstance(problem, ToolFailure):
        kind = problem.kind or classify(problem)
        after = retry_after(problem)
        return Failure(kind, name, f"{name}: {problem}", after, problem.hint, nothing_done=True)
    if isinstance(problem, SecretMissing):
        return Failure(ErrorType.AUTH, name, str(problem), nothing_done=True)
    if isinstance(problem, ResultRefused):
        return Failure(ErrorType.CONTENT_FILTER, name, f"the result of {tool} is withheld: {problem}")
    if isinstance(problem, OutputInvalid):
        return Failure(ErrorType.MALFORMED, name, str(problem))
    return Failure(classify(problem), name, f"{name}: {_said(problem)}", retry_after(problem))


def retry_after(problem: BaseException, now: datetime | None = None) -> float | None:
    """Return the seconds a failure asks to wait, of itself or of what caused it; None where it does not.

    Reads a ``retry_after`` of the exception, then a ``Retry-After`` header of it or its response: seconds, or a date.
    """
    seen: set[int] = set()
    link: BaseException | None = problem
    while link is not None and id(link) not in seen:
        for said in (getattr(link, "retry_after", None), _header(link), _header(getattr(link, "response", None))):
            if (seconds := _seconds(said, now or datetime.now(UTC))) is not None:
                return seconds
        seen.add(id(link))
        link = link.__cause__
    return None


def _said(problem: BaseException) -> str:
    try:
        return str(problem)
    except Exception:  # noqa: BLE001 - the exception is the tool's own, and may not even be able to speak
        return "(its message cannot be read)"


def _header(holder: object) -> object:
    headers = getattr(holder, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    return next((value for name, value in headers.items() if str(name).lower() == "retry-after"), None)


def _seconds(said: Any, now: datetime) -> float | None:  # noqa: ANN401 - a number, text, or nothing
    if said is None or isinstance(said, bool):
        return None
    try:
        seconds = float(said)
    except (TypeError, ValueError):
        try:
            seconds = (parsedate_to_datetime(str(said)) - now).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, round(seconds, 3)) if math.isfinite(seconds) else None
