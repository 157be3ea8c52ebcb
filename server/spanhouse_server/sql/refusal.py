"""Why a statement is not run: what is wrong with it, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from spanhouse.errors import SpanhouseError


class StatementRefusedError(SpanhouseError):
    """The statement is not one that the door lets through; the message says what in it, and what to write instead."""


class Cap(Enum):
    """A bound of the door, by the setting that sets it."""

    SECONDS = "sql_seconds"
    MEMORY = "sql_memory"
    ROWS = "sql_rows"
    BYTES = "sql_bytes"
    AT_ONCE = "sql_at_once"


@dataclass
class CapReachedError(SpanhouseError):
    """The statement was stopped at one of the door's bounds.

    Attributes:
        cap: which.
        detail: the bound in words, and how to ask for less.
    """

    cap: Cap
    detail: str

    def __str__(self) -> str:
        return self.detail
