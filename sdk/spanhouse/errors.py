"""Spanhouse's own exceptions, and the closed list of error types that failed calls are counted by.

SpanhouseError
+-- ConfigurationError     a setting has a value that cannot be used
+-- ServerError            the Spanhouse server refused or could not be reached
+-- RunStopped             the control layer ended the run; carries the one stop reason
"""

from __future__ import annotations

from enum import StrEnum

from spanhouse.stop_reasons import StopReason


class ErrorType(StrEnum):
    """What kind of failure a model or tool call had; a closed list, so that rates by type can be compared."""

    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    CONTENT_FILTER = "content_filter"
    AUTH = "auth"
    UNAVAILABLE = "unavailable"
    INVALID_INPUT = "invalid_input"
    OTHER = "other"


class SpanhouseError(Exception):
    """Base of every exception that Spanhouse raises on purpose."""


class ConfigurationError(SpanhouseError):
    """A setting has a value that cannot be used; the message names the setting, the value and the fix."""


class ServerError(SpanhouseError):
    """The Spanhouse server refused a request or could not be reached.

    Attributes:
        status: HTTP status, or None where there was no answer.
        problem: the RFC 9457 problem document, empty where there was none.
    """

    def __init__(self, message: str, *, status: int | None = None, problem: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}


class RunStopped(SpanhouseError):  # noqa: N818 - it is a control signal as much as an error, and reads so in agents
    """The control layer ended the run.

    Attributes:
        reason: the stop reason the run ends with.
    """

    def __init__(self, reason: StopReason, detail: str = "") -> None:
        super().__init__(f"run stopped: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail
