"""From what a request shows to what it may: for the API, the pages, and OTLP over HTTP and gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from spanhouse_collector.allowance import Allowance
from spanhouse_collector.caller import Caller, CallerRefusedError
from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server import token
from spanhouse_server.keys.auth import Auth
from spanhouse_server.keys.refusals import Door, Refusals, Why
from spanhouse_server.keys.rights import ANYONE, NOBODY, OPERATOR, PAGES, RIGHTS, Access, Right
from spanhouse_server.keys.ring import KeyRing, KeysUnavailableError
from spanhouse_server.keys.sessions import PREFIX, Sessions
from spanhouse_server.keys.table import Key

UNAVAILABLE_SECONDS: Final = 2
"""After which to try again where the state database does not answer."""


class Guard:
    """Judges requests. Calls are safe from any thread.

    Args:
        engine: the state database.
        operator_token: the token with all rights.
        auth: ``auto`` asks for keys from the first one made.
        rate: spans, log records and data points a second for each tenant; 0 for no limit.
        size: bytes a second for each tenant, as decompressed; 0 for no limit.
        clock: the time, aware.
        refusals: counts who is turned away.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        engine: Engine,
        operator_token: str,
        *,
        clock: Callable[[], datetime],
        auth: Auth = Auth.AUTO,
        rate: float = 0,
        size: float = 0,
        refusals: Refusals | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ring = KeyRing(engine, clock)
        self.sessions = Sessions(clock)
        self.refusals = refusals or Refusals(CollectorRegistry())
        self._operator_token, self._auth = operator_token, auth
        self._rate, self._size, self._monotonic = rate, size, monotonic
        self._allowances: dict[frozenset[str] | str, Allowance] = {}
        self._lock = threading.Lock()

    def enforced(self) -> bool:
        """Return whether keys are asked for.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        return self._auth is Auth.ON or (self._auth is Auth.AUTO and self.ring.any())

    def access(self, authorization: str) -> Access:
        """Return what the holder of an ``Authorization`` header may; one that is not known counts as none.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        return self._known(bearer(authorization)) or (NOBODY if self.enforced() else ANYONE)

    def why(self, authorization: str) -> Why:
        """Return why what somebody showed is no good; `Why.ROLE` where it is, but not for this.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        found = self.ring.judge(bearer(authorization))
        return found if isinstance(found, Why) else Why.ROLE

    def login(self, text: str) -> str | None:
        """Return a cookie for the holder of the operator's token, a ticket, or a key that may read.

        What the pages show is narrowed to the key's tenants. None where the text is none of these.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        if self.sessions.redeem(text):
            return self.sessions.open("")
        found = None if text.startswith(PREFIX) else self._known(text)
        if found is None or Right.READ not in found.rights:
            self.refusals.count(Door.PAGES, self.why(f"Bearer {text}"))
            return None
        return self.sessions.open(found.key)

    def logged_in(self, cookie: str) -> bool:
        """Return whether a cookie opens the pages; a session ends with its key.

        Raises:
            KeysUnavailableError: nobody can say.
        """
        session = self.sessions.find(cookie)
        return session is not None and (not session.key or self.ring.by_id(session.key) is not None)

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who sends telemetry, from a request's headers: `spanhouse_collector.caller.Identify`.

        Raises:
            CallerRefusedError: 401 without a good key, 403 with one that is not for sending, 429 beyond the tenant's
                rate, 503 where nobody can tell.
        """
        shown = headers.get("authorization", "")
        try:
            access = self.access(shown)
        except KeysUnavailableError as error:
            self.refusals.count(Door.OTLP, Why.UNAVAILABLE)
            raise CallerRefusedError(str(error), status=503, retry_after=UNAVAILABLE_SECONDS) from error
        if Right.SEND not in access.rights:
            self.refusals.count(Door.OTLP, Why.ROLE if access.name else self.why(shown))
            if not access.name:
                msg = (
                    "a key is needed to send telemetry here: send 'Authorization: Bearer shk_...' "
                    "(OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20shk_...)"
                )
                raise CallerRefusedError(msg)
            msg = f"key {access.name} may not send telemetry: use one with the role ingest, operate or admin"
            raise CallerRefusedError(msg, status=403)
        allowance = self._allowance(access)
        wait = allowance.wait() if allowance is not None else 0
        if wait:
            self.refusals.count(Door.OTLP, Why.RATE)
            msg = f"more was sent than a tenant may ({self._limits()}): send again after {wait} s"
            raise CallerRefusedError(msg, status=429, retry_after=wait)
        return Caller(
            tenant=min(access.tenants) if access.tenants else DEFAULT_TENANT,
            tenants=access.tenants,
            environment=access.environment,
            allowance=allowance,
        )

    def _known(self, text: str) -> Access | None:
        if not text:
            return None
        if token.matches(text, self._operator_token):
            return OPERATOR
        if text.startswith(PREFIX):
            return self._of_session(text)
        key = self.ring.find(text)
        return of_key(key) if key is not None else None

    def _of_session(self, cookie: str) -> Access | None:
        # Pages show their visitor's cookie as a token, so that they read what the visitor may and no more.
        session = self.sessions.find(cookie)
        if session is None:
            return None
        if not session.key:
            return replace(OPERATOR, rights=PAGES)
        key = self.ring.by_id(session.key)
        if key is None:
            return None
        access = of_key(key)
        return replace(access, rights=access.rights & PAGES)

    def _allowance(self, access: Access) -> Allowance | None:
        if access is OPERATOR or not (self._rate or self._size):
            return None
        # Keys of the same tenants share what these may send; a key of all tenants has its own.
        account = access.tenants if access.tenants is not None else access.key
        with self._lock:
            found = self._allowances.get(account)
            if found is None:
                found = self._allowances[account] = Allowance(self._rate, self._size, self._monotonic)
        return found

    def _limits(self) -> str:
        given = ((self._rate, f"{self._rate:g} records a second"), (self._size, f"{self._size:g} bytes a second"))
        return ", ".join(text for limit, text in given if limit)


def bearer(authorization: str) -> str:
    """Return the token in an ``Authorization`` header; empty where it holds none."""
    scheme, _, text = authorization.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def of_key(key: Key) -> Access:
    """Return what the holder of a key may."""
    return Access(
        rights=RIGHTS[key.role],
        tenants=key.tenants,
        name=f"{key.id} ({key.name})" if key.name else key.id,
        environment=key.environment,
        key=key.id,
    )
