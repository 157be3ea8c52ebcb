"""Who was erased and must not come back: hashes in the state database, held against every row about to be inserted."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from sqlalchemy import BigInteger, Column, Engine, String, Table, delete, insert, select

from spanhouse_storage.state import get_watermark, metadata, set_watermark

Mark: TypeAlias = Literal["user", "session", "request", "trace", "run"]

TOMBSTONES: Final = Table(
    "tombstones",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("deletion_id", String(32), nullable=False, index=True),
    Column("before_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
"""`hash` names a mark of a tenant; rows with it that happened before `before_us` are refused until `expires_us`."""

_COLUMNS: Final[dict[Mark, tuple[str, ...]]] = {
    "user": ("user_id",),
    "session": ("session_id",),
    "request": ("request_id",),
    "trace": ("trace_id",),
    "run": ("run_id", "run_hint", "stream"),
}
_TIMES: Final = ("start", "started_at", "run_started_at", "time")
_VERSION: Final = "tombstones"
_SALT: Final = "tombstones.salt"
_LOOK_SECONDS: Final = 1.0
_ALWAYS_US: Final = 1 << 62
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Marked:
    """One thing that was erased.

    Attributes:
        before: rows of it that happened earlier are refused; None for all of them. A person may come back, a trace
            may not.
    """

    mark: Mark
    tenant: str
    value: str
    before: datetime | None = None


class Tombstones:
    """The marks in force. Calls are safe from any thread; what another process adds is seen within a second.

    Args:
        state: the state database.
        clock: the time, aware.
    """

    def __init__(self, state: Engine, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._state, self._clock = state, clock
        self._lock = threading.Lock()
        self._salt = _salt(state)
        self._known: dict[str, int] = {}
        self._seen: str | None = None
        self._looked = float("-inf")

    def add(self, marks: Iterable[Marked], deletion_id: str, expires: datetime) -> None:
        """Refuse rows with these marks from now on, until they expire."""
        rows = {
            self._hash(each.mark, each.tenant, each.value): _ALWAYS_US if each.before is None else _us(each.before)
            for each in marks
            if each.value
        }
        hashes = list(rows)
        with self._state.begin() as connection:
            for first in range(0, len(hashes), _CHUNK):
                part = hashes[first : first + _CHUNK]
                connection.execute(delete(TOMBSTONES).where(TOMBSTONES.c.hash.in_(part)))
                connection.execute(
                    insert(TOMBSTONES),
                    [
                        {"hash": each, "deletion_id": deletion_id, "before_us": rows[each], "expires_us": _us(expires)}
                        for each in part
                    ],
                )
        set_watermark(self._state, _VERSION, secrets.token_hex(8))
        with self._lock:
            self._looked = float("-inf")

    def expire(self) -> None:
        """Forget what has expired."""
        with self._state.begin() as connection:
            gone = connection.execute(delete(TOMBSTONES).where(TOMBSTONES.c.expires_us <= _us(self._clock()))).rowcount
        if gone:
            set_watermark(self._state, _VERSION, secrets.token_hex(8))

    def erased(self, table: str, rows: pa.Table) -> np.ndarray:
        """Return which of some rows carry a mark in force, as booleans."""
        gone = np.zeros(rows.num_rows, bool)
        known = self._current()
        if not known or not rows.num_rows or "tenant" not in rows.column_names or table == "deletions":
            return gone
        times = _happened(rows)
        for mark, columns in _COLUMNS.items():
            for column in columns:
                if column in rows.column_names:
                    gone |= times < self._edges(known, mark, rows.select(["tenant", column]))
        return gone

    def _edges(self, known: dict[str, int], mark: Mark, pairs: pa.Table) -> np.ndarray:
        """Return, by row, the time before which its mark is refused; 0 where it is not."""
        numbers = pairs.append_column("row", pa.array(np.arange(pairs.num_rows)))
        column = pairs.column_names[1]
        edges = np.zeros(pairs.num_rows, np.int64)
        for group in numbers.group_by(["tenant", column]).aggregate([("row", "list")]).to_pylist():
            edge = known.get(self._hash(mark, group["tenant"], group[column]), 0) if group[column] else 0
            if edge:
                edges[group["row_list"]] = edge
        return edges

    def _current(self) -> dict[str, int]:
        with self._lock:
            now = time.monotonic()
            if now - self._looked < _LOOK_SECONDS:
                return self._known
            version = get_watermark(self._state, _VERSION)
            if version != self._seen:
                with self._state.connect() as connection:
                    found = connection.execute(select(TOMBSTONES.c.hash, TOMBSTONES.c.before_us))
                    self._known = {row.hash: row.before_us for row in found}
                self._seen = version
            self._looked = now
            return self._known

    def _hash(self, mark: str, tenant: str, value: str) -> str:
        return hashed(self._salt, mark, tenant, value)


def hashed(salt: str, mark: str, tenant: str, value: str) -> str:
    """Return the hash that stands for a mark; the parts cannot run into one another."""
    text = "\0".join(f"{len(part)}:{part}" for part in (salt, mark, tenant, value))
    return hashlib.sha256(text.encode()).hexdigest()


def salt_of(state: Engine) -> str:
    """Return the random text that goes into every hash of this state database."""
    return _salt(state)


def _salt(state: Engine) -> str:
    known = get_watermark(state, _SALT)
    if known is None:
        set_watermark(state, _SALT, secrets.token_hex(32))
        # Two servers that start at once must agree: whoever wrote last is read by both.
        known = get_watermark(state, _SALT)
    assert known is not None
    return known


def _happened(rows: pa.Table) -> np.ndarray:
    column = next(name for name in _TIMES if name in rows.column_names)
    micros: np.ndarray = rows.column(column).cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    return micros


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
