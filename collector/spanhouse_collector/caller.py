"""Who sends, and for which tenants it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from spanhouse.errors import SpanhouseError
from spanhouse_collector.allowance import Allowance
from spanhouse_collector.records import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Caller:
    """A sender that was let in.

    Attributes:
        tenant: tenant of the records that name none themselves.
        tenants: those a record may name; None for any. Where there are several, every record has to name one.
        environment: environment of the records that name none themselves; empty for none.
        allowance: what it may send, shared with whoever sends for the same tenants; None for no limit.
    """

    tenant: str = DEFAULT_TENANT
    tenants: frozenset[str] | None = None
    environment: str = ""
    allowance: Allowance | None = None

    def spend(self, records: int, size: int) -> None:
        """Count what was sent: spans, log records or data points, and bytes as decompressed."""
        if self.allowance is not None:
            self.allowance.spend(records, size)


class CallerRefusedError(SpanhouseError):
    """The sender may not send.

    Attributes:
        status: 401 where it is not known, 403 where it is, 429 where it sends too much, 503 where nobody can tell.
        retry_after: seconds after which it may send again; None where time changes nothing.
    """

    def __init__(self, message: str, *, status: int = 401, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


Identify: TypeAlias = Callable[[Mapping[str, str]], Caller]
"""Returns the caller from a request's headers (names in lower case); raises `CallerRefusedError`."""


def anyone(_headers: Mapping[str, str]) -> Caller:
    """Let every sender in: for a server that listens on loopback only."""
    return Caller()
