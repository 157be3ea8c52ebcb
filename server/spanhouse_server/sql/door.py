"""The one way in for statements: checked, bounded, run in a locked session, answered in a format of the engine."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from spanhouse.errors import SpanhouseError
from spanhouse_server.sql import catalogue, columns, engine_view, statement
from spanhouse_server.sql.caps import Caps
from spanhouse_server.sql.refusal import Cap, StatementRefusedError
from spanhouse_server.sql.statement import Schema
from spanhouse_storage.contract import QueryError, Settings, Store, StoreUnavailableError

WAIT_SECONDS: Final = 5.0
"""How long a statement waits for others to end before it is sent away."""

_EXPLAIN: Final = re.compile(r"^\s*EXPLAIN(?:\s+(PLAN|PIPELINE|ESTIMATE))?(?=[\s(])", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: \d+\. DB::Exception: ")
_TAIL: Final = re.compile(r"\s*\(version [0-9.]+[^)]*\)\.?( \([A-Z_]+\))?")
_PARAMETER_NAME: Final = re.compile(r"^[A-Za-z]\w{0,99}$")


class StatementFailedError(SpanhouseError):
    """The engine could not run a statement that was let through: a column that is not there, types that do not fit.

    Attributes:
        code: ClickHouse error code, or None where it is not known.
    """

    def __init__(self, message: str, *, code: int | None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave.

    Attributes:
        body: the rows, in the format asked for.
        rows_read: rows read from tables; None where the engine does not say.
        bytes_read: bytes read from tables; None where the engine does not say.
        seconds: time it took, waiting left out.
        sql: what was run in place of the statement.
    """

    body: bytes
    rows_read: int | None
    bytes_read: int | None
    seconds: float
    sql: str


class SqlDoor:
    """Runs statements of people and tools. Calls are safe from any thread.

    Args:
        caps: the bounds of each statement.
    """

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self._free = threading.BoundedSemaphore(caps.at_once)
        self._waiting = threading.BoundedSemaphore(caps.at_once * 4)

    def ask(
        self,
        store: Store,
        sql: str,
        output: str,
        *,
        parameters: Mapping[str, str] | None = None,
        system: bool = False,
        settings: Settings | None = None,
    ) -> Answer:
        """Return a statement's rows in a format of the engine.

        Args:
            store: the store, already narrowed to the tenants of who asks.
            sql: one SELECT, also with WITH, UNION or EXPLAIN before it; SHOW TABLES, SHOW DATABASES or DESCRIBE.
            output: the engine's name of the format, chosen by the caller and never by the statement.
            parameters: values of `{name:Type}` in the statement.
            system: whether `system.tables` and its like may be read, cut down to what is ours.
            settings: further settings of the engine that the caller vouches for.

        Raises:
            StatementRefusedError: the statement is not let through.
            CapReachedError: it was stopped at a bound.
            StatementFailedError: the engine could not run it.
            StoreUnavailableError: the store does not answer.
        """
        bound = dict(parameters or {})
        for name in bound:
            if not _PARAMETER_NAME.match(name):
                msg = f"parameter {name[:60]!r} cannot be used: names are letters, digits and _"
                raise StatementRefusedError(msg)
        explain = _EXPLAIN.match(sql)
        body = sql[explain.end() :] if explain else sql
        database = store.info.database
        shown = None if explain else catalogue.asked(body, database)
        checked = statement.check(shown or body, self._schema(store, system=system or shown is not None))
        prefix = f"EXPLAIN {(explain[1] or 'PLAN').upper()} " if explain else ""
        limits = {**(settings or {}), **self.caps.settings()}
        try:
            with self._turn():
                return self._run(store, checked, prefix, output, bound, limits)
        except (QueryError, StoreUnavailableError) as error:
            raise self._failure(error) from error

    def _run(
        self,
        store: Store,
        checked: statement.Checked,
        prefix: str,
        output: str,
        bound: dict[str, str],
        limits: Settings,
    ) -> Answer:
        # Without the caller's settings: one that cuts an answer short would cut this one too.
        seen = store.read_only(engine_view.statement(checked), engine_view.FORMAT, bound, self.caps.settings_to_parse())
        engine_view.check(checked, seen.body.decode(errors="replace"))
        began = time.monotonic()
        answer = store.read_only(prefix + checked.sql, output, bound, limits)
        # The engine does not bound what has one source row, however many come of it.
        if answer.rows is not None and answer.rows > self.caps.rows:
            raise self.caps.error(Cap.ROWS)
        if len(answer.body) > self.caps.bytes:
            raise self.caps.error(Cap.BYTES)
        return Answer(answer.body, answer.rows_read, answer.bytes_read, time.monotonic() - began, prefix + checked.sql)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn, with few others; who comes when more wait is sent away at once."""
        if not self._waiting.acquire(blocking=False):
            raise self.caps.error(Cap.AT_ONCE)
        try:
            if not self._free.acquire(timeout=WAIT_SECONDS):
                raise self.caps.error(Cap.AT_ONCE)
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._waiting.release()

    def _schema(self, store: Store, *, system: bool) -> Schema:
        database = store.info.database
        names = store.query("SELECT name FROM system.tables WHERE database = {database:String}", {"database": database})
        tables = frozenset(columns.tables())
        sources = catalogue.sources(database, sorted(tables)) if system else None
        return Schema(database, tables, frozenset(names.column("name").to_pylist()), sources)

    def _failure(self, error: QueryError | StoreUnavailableError) -> SpanhouseError:
        reached = self.caps.reached(error)
        if reached is not None:
            return reached
        if isinstance(error, StoreUnavailableError):
            return error
        return StatementFailedError(_readable(str(error)), code=error.code)


def _readable(message: str) -> str:
    """Return the engine's message without what it says twice and what is about the engine itself."""
    parts = _CODE.split(message)
    return _TAIL.sub("", parts[-1]).strip()[:2_000]
