"""The bounds of one statement, and what to tell somebody who reached one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spanhouse_server.settings import Settings
from spanhouse_server.sql.refusal import Cap, CapReachedError
from spanhouse_storage.contract import QueryError, StoreUnavailableError

_TIMEOUT: Final = frozenset({159, 160})
_MEMORY: Final = 241
_RESULT: Final = 396


@dataclass(frozen=True, slots=True)
class Caps:
    """What one statement may use.

    Attributes:
        seconds: time it may run.
        memory: bytes of memory it may take.
        rows: rows it may answer with.
        bytes: bytes it may answer with.
        at_once: statements that run side by side.
    """

    seconds: float
    memory: int
    rows: int
    bytes: int
    at_once: int

    def settings(self) -> dict[str, str]:
        """Return the engine's settings that hold a statement to this."""
        return {
            **self.settings_to_parse(),
            "max_result_rows": str(self.rows),
            "max_result_bytes": str(self.bytes),
            "result_overflow_mode": "throw",
            "output_format_json_quote_64bit_integers": "0",
            "output_format_json_validate_utf8": "1",
        }

    def settings_to_parse(self) -> dict[str, str]:
        """Return the engine's settings for reading a statement without running it."""
        return {
            "max_execution_time": f"{self.seconds:g}",
            "timeout_before_checking_execution_speed": "0",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": str(self.memory),
            "max_temporary_data_on_disk_size_for_query": str(4 * self.memory),
            "max_query_size": str(4 << 20),
            "max_ast_depth": "500",
            "max_ast_elements": "20000",
            "max_expanded_ast_elements": "50000",
            "max_subquery_depth": "50",
            "max_threads": "4",
            "allow_ddl": "0",
            "allow_introspection_functions": "0",
        }

    def reached(self, error: QueryError | StoreUnavailableError) -> CapReachedError | None:
        """Return which bound the engine's error means, None where it means none."""
        if error.code in _TIMEOUT:
            return self.error(Cap.SECONDS)
        if error.code == _MEMORY:
            return self.error(Cap.MEMORY)
        if error.code == _RESULT:
            return self.error(Cap.BYTES if "max bytes" in str(error) else Cap.ROWS)
        return None

    def error(self, cap: Cap) -> CapReachedError:
        """Return the error about a bound, with its value and how to stay below it."""
        what = {
            Cap.SECONDS: f"a statement may run for {self.seconds:g} s",
            Cap.MEMORY: f"a statement may take {self.memory:,} bytes of memory",
            Cap.ROWS: f"an answer may have {self.rows:,} rows",
            Cap.BYTES: f"an answer may have {self.bytes:,} bytes",
            Cap.AT_ONCE: f"{self.at_once} statements may run at once, and that many do",
        }[cap]
        how = {
            Cap.SECONDS: "bound the time (start, started_at), name the tenant, and leave out input and output",
            Cap.MEMORY: "group by fewer values, join smaller subqueries, or use approximate functions such as uniq",
            Cap.ROWS: "aggregate, filter, or add LIMIT",
            Cap.BYTES: "select fewer columns (input, output and attributes are large), or add LIMIT",
            Cap.AT_ONCE: "ask again in a moment",
        }[cap]
        return CapReachedError(cap, f"{what} (SPANHOUSE_{cap.value.upper()}): {how}")


def caps_of(settings: Settings) -> Caps:
    """Return the bounds that the server's settings set."""
    return Caps(
        seconds=settings.sql_seconds,
        memory=settings.sql_memory,
        rows=settings.sql_rows,
        bytes=settings.sql_bytes,
        at_once=settings.sql_at_once,
    )
