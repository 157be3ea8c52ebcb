"""Shared budgets in a database: what runs and processes reserve, settle and release against one another.

One transaction reserves in all accounts or in none. What a dead process held is free again when its lease has run out.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import SQLAlchemyError

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import Amounts, BudgetRefused, Near
from spanhouse_runtime.budgets.listing import Use, uses
from spanhouse_runtime.budgets.rules import Account, Budget, accounts
from spanhouse_runtime.guard.books import Subject

_log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 20.0
"""How long a reservation stands without a sign of life from the process that holds it."""
_BUSY_SECONDS: Final = 30.0

metadata = MetaData()
used = Table(
    "budget_used",
    metadata,
    Column("account", String(500), primary_key=True),
    Column("code", String(40), primary_key=True),
    Column("amount", BigInteger, nullable=False, default=0),
    Column("warned", Boolean, nullable=False, default=False),
)
held = Table(
    "budget_held",
    metadata,
    Column("reservation", String(40), primary_key=True),
    Column("account", String(500), primary_key=True),
    Column("code", String(40), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)


class BudgetStore:
    """Shared budgets over a database; implements ``SharedBudgets``. Safe for threads, processes and ``fork``.

    While calls settle for no more than they reserved and leases are kept alive, used + reserved never passes a limit,
    whoever races. A call that turns out dearer is booked as it was, and what comes after it is refused.

    Args:
        url: an SQLAlchemy URL: ``sqlite:///budgets.db`` for the processes of one machine, PostgreSQL for several.
        budgets: the budgets, or a function that returns those in force now.
        lease_seconds: how long a reservation outlives its process.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        url: str,
        budgets: Sequence[Budget] | Callable[[], Sequence[Budget]],
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._budgets, self._lease, self._clock = budgets, lease_seconds, clock
        self._on_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS} if self._on_sqlite else {})
        if self._on_sqlite:
            event.listen(self._engine, "connect", _prepare)
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        metadata.create_all(self._engine)
        self._open: dict[str, list[Account]] = {}
        self._lock = threading.Lock()
        self._heart: threading.Thread | None = None
        self._closing = threading.Event()
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (child := forget()) and child())

    @property
    def limits_money(self) -> bool:
        """Whether one of the budgets limits dollars."""
        return any(StopCode.MAX_USD in budget.limits for budget in self._in_force())

    @property
    def limits_time(self) -> bool:
        """Whether one of the budgets limits seconds."""
        return any(StopCode.MAX_SECONDS in budget.limits for budget in self._in_force())

    def spend(self, subject: Subject, amounts: Amounts) -> list[Near]:
        """Book what was taken without being asked for, and return the budgets that have come near since."""
        drawn = accounts(self._in_force(), subject, datetime.fromtimestamp(self._clock(), UTC))
        with self._transaction() as connection:
            return self._booked(connection, drawn, amounts)

    def reserve(self, subject: Subject, amounts: Amounts) -> str:
        """Hold back the amounts in every account of the subject, or in none; return the reservation's id.

        Raises:
            BudgetRefused: one of them would be passed; its reason names the scope.
        """
        asked = {code: amount for code, amount in amounts.items() if amount}
        reservation = secrets.token_hex(16)
        drawn = accounts(self._in_force(), subject, datetime.fromtimestamp(self._clock(), UTC))
        if not drawn:
            return ""
        with self._transaction() as connection:
            for account in drawn:
                self._check(connection, account, asked)
            rows = [
                {"reservation": reservation, "account": a.key, "code": code.value, "amount": amount}
                for a in drawn
                for code, amount in (asked or {StopCode.MAX_STEPS: 0}).items()
            ]
            connection.execute(insert(held), [{**row, "expires_at": self._clock() + self._lease} for row in rows])
        self._keep_alive(reservation, drawn)
        return reservation

    def settle(self, reservation: str, actual: Amounts) -> list[Near]:
        """Book what was really taken, give the rest back, and return the budgets that have come near since.

        A reservation whose lease ran out is booked all the same: it was spent.
        """
        with self._lock:
            drawn = self._open.pop(reservation, [])
        if not drawn:
            return []
        with self._transaction() as connection:
            connection.execute(delete(held).where(held.c.reservation == reservation))
            return self._booked(connection, drawn, actual)

    def release(self, reservation: str) -> None:
        """Give a reservation back unused."""
        with self._lock:
            known = self._open.pop(reservation, [])
        if known:
            with self._transaction() as connection:
                connection.execute(delete(held).where(held.c.reservation == reservation))

    def report(self, subject: Subject) -> dict[str, dict[str, dict[str, int]]]:
        """Return use of the subject's accounts now: ``{scope: {code: {"limit", "used", "reserved"}}}``, whole units."""
        with self._transaction() as connection:
            now = datetime.fromtimestamp(self._clock(), UTC)
            return {
                account.scope.value: {
                    code.value: {
                        "limit": limit,
                        "used": self._used(connection, account.key, code),
                        "reserved": self._held(connection, account.key, code),
                    }
                    for code, limit in account.limits.items()
                }
                for account in accounts(self._in_force(), subject, now)
            }

    def uses(self, *, every: bool = False) -> list[Use]:
        """Return the use of all accounts that were drawn on, the fullest first.

        Args:
            every: accounts of requests and runs too, and of days that are over.
        """
        alive = held.c.expires_at > self._clock()
        with self._transaction() as connection:
            booked = connection.execute(select(used.c.account, used.c.code, used.c.amount)).all()
            totals = select(held.c.account, held.c.code, func.sum(held.c.amount)).where(alive)
            reserved = connection.execute(totals.group_by(held.c.account, held.c.code)).all()
        amounts = {(account, code): (int(amount), 0) for account, code, amount in booked}
        for account, code, amount in reserved:
            amounts[account, code] = (amounts.get((account, code), (0, 0))[0], int(amount))
        return uses(amounts, self._in_force(), datetime.fromtimestamp(self._clock(), UTC), every=every)

    def close(self) -> None:
        """Stop keeping leases alive and close the connections. Open reservations end with their lease."""
        self._closing.set()
        if self._heart is not None:
            self._heart.join()
        self._engine.dispose()

    def _in_force(self) -> Sequence[Budget]:
        return self._budgets() if callable(self._budgets) else self._budgets

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def _check(self, connection: Connection, account: Account, asked: Mapping[StopCode, int]) -> None:
        for code, limit in sorted(account.limits.items()):
            self._row(connection, account.key, code)
            booked = self._used(connection, account.key, code, lock=True)
            reserved = self._held(connection, account.key, code)
            wanted = asked.get(code, 0)
            if booked + reserved + wanted > limit:
                raise BudgetRefused(
                    code, limit=limit, used=booked, reserved=reserved, asked=wanted, scope=account.scope.value
                )

    def _booked(self, connection: Connection, drawn: Sequence[Account], actual: Amounts) -> list[Near]:
        for account in drawn:
            for code, amount in sorted(actual.items()):
                if amount:
                    self._row(connection, account.key, code)
                    row = (used.c.account == account.key) & (used.c.code == code.value)
                    connection.execute(update(used).where(row).values(amount=used.c.amount + amount))
        return [near for account in drawn for near in self._newly_near(connection, account)]

    def _row(self, connection: Connection, key: str, code: StopCode) -> None:
        make = sqlite.insert if self._on_sqlite else postgresql.insert
        row = {"account": key, "code": code.value, "amount": 0, "warned": False}
        connection.execute(make(used).values(row).on_conflict_do_nothing())

    def _used(self, connection: Connection, key: str, code: StopCode, *, lock: bool = False) -> int:
        statement = select(used.c.amount).where(used.c.account == key, used.c.code == code.value)
        # Locks are taken in the order of accounts and codes, so two reservations never wait for each other.
        return connection.scalar(statement.with_for_update() if lock else statement) or 0

    def _held(self, connection: Connection, key: str, code: StopCode) -> int:
        alive = held.c.expires_at > self._clock()
        statement = select(func.sum(held.c.amount)).where(held.c.account == key, held.c.code == code.value, alive)
        return int(connection.scalar(statement) or 0)

    def _newly_near(self, connection: Connection, account: Account) -> Iterator[Near]:
        for code, limit in account.limits.items():
            reached = used.c.amount >= int(limit * account.warn_at[code])
            row = (used.c.account == account.key) & (used.c.code == code.value) & used.c.warned.is_(False)
            if connection.execute(update(used).where(row, reached).values(warned=True)).rowcount:
                yield Near(code, limit, self._used(connection, account.key, code), account.scope.value)

    def _keep_alive(self, reservation: str, drawn: list[Account]) -> None:
        with self._lock:
            self._open[reservation] = drawn
            if self._heart is None:
                self._heart = threading.Thread(target=self._beat, name="spanhouse-budgets", daemon=True)
                self._heart.start()

    def _beat(self) -> None:
        while not self._closing.wait(self._lease / 4):
            try:
                self._renew()
            except SQLAlchemyError:
                _log.exception("leases of reservations could not be renewed; trying again")

    def _renew(self) -> None:
        with self._lock:
            mine = list(self._open)
        now = self._clock()
        with self._transaction() as connection:
            if mine:
                renewed = update(held).where(held.c.reservation.in_(mine)).values(expires_at=now + self._lease)
                connection.execute(renewed)
            connection.execute(delete(held).where(held.c.expires_at < now))

    def _forget(self) -> None:
        # A forked child has neither its parent's connections nor its reservations.
        self._engine.dispose(close=False)
        self._open, self._heart, self._lock = {}, None, threading.Lock()


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    # BEGIN is ours to say: the driver's own would let two readers both become writers.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
