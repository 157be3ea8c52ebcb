"""What a role may do, and what each request needs: pure, for the gate, the OTLP door and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final


class Role(StrEnum):
    """What a key is for."""

    INGEST = "ingest"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


class Right(Enum):
    """One kind of thing to do; the value says it in words."""

    SEND = "send telemetry"
    POLL = "read control flags"
    READ = "read"
    STEER = "set control flags and answer agents"
    ASK = "ask for approval"
    SCORE = "give feedback"
    CONTROL = "change what is kept"
    KEYS = "manage keys"
    BACKUP = "take a backup"
    QUERY = "run SQL"


_INGEST: Final = frozenset({Right.SEND, Right.POLL, Right.ASK, Right.SCORE})
_OPERATE: Final = _INGEST | {Right.READ, Right.STEER, Right.CONTROL}
RIGHTS: Final = {
    Role.INGEST: _INGEST,
    Role.READ: frozenset({Right.POLL, Right.READ}),
    Role.OPERATE: _OPERATE,
    Role.ADMIN: _OPERATE | {Right.KEYS, Right.QUERY, Right.BACKUP},
}

OPEN: Final = _INGEST | {Right.READ}
"""What needs no key where none is asked for: control, answers to agents and keys need the operator's token even there,
so that an agent cannot approve itself."""

_PUBLIC: Final = frozenset({"/api/v1/openapi.json"})
_SERVERS_OWN: Final = ("/metrics", "/api/v1/reprocess")
"""What is about all tenants at once."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a request needs: a right, for some tenants of its own or for all of them."""

    right: Right
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, and what they may.

    Attributes:
        rights: what they may do.
        tenants: for which tenants; None for all.
        name: for messages and the audit trail; empty where nobody is known.
        environment: of records that name none themselves.
        key: id of the key; empty for the operator's token and where no key is needed.
    """

    rights: frozenset[Right]
    tenants: frozenset[str] | None = None
    name: str = ""
    environment: str = ""
    key: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether all tenants are meant."""
        return self.tenants is None

    def may(self, need: Need) -> bool:
        """Whether this is enough for what a request needs."""
        return need.right in self.rights and (self.everywhere or not need.everywhere)

    def foreign(self, tenants: frozenset[str]) -> list[str]:
        """Return those of the tenants that are not theirs, sorted."""
        return [] if self.tenants is None else sorted(tenants - self.tenants)


OPERATOR: Final = Access(frozenset(Right), name="operator")
"""Whoever holds the operator's token: all rights over all tenants."""

ANYONE: Final = Access(OPEN)
"""Whoever asks where no key is needed."""

PAGES: Final = frozenset({Right.POLL, Right.READ, Right.STEER, Right.SCORE})
"""The most that pages may, whoever looks at them: to read, to stop and answer agents, and to say what was good."""

NOBODY: Final = Access(frozenset())
"""Whoever shows nothing where a key is needed."""


def needed(method: str, path: str) -> Need | None:
    """Return what a request needs; None where everybody may. What this does not know needs the most."""
    if not path.startswith(("/api/", *_SERVERS_OWN)) or path in _PUBLIC:
        return None
    for prefix, need in _BY_PREFIX:
        if path.startswith(prefix):
            return need
    reading = method in {"GET", "HEAD"}
    if path.startswith("/api/v1/control"):
        return Need(Right.POLL if reading else Right.STEER)
    if path.startswith("/api/v1/approvals"):
        return Need(_of_approvals(path, reading=reading))
    if path == "/api/v1/scores" and not reading:
        return Need(Right.SCORE)
    everywhere = not reading or path.startswith(_SERVERS_OWN)
    return Need(Right.READ if reading else Right.CONTROL, everywhere)


_BY_PREFIX: Final = (
    ("/api/v1/keys", Need(Right.KEYS)),
    # It holds the operator's token and what every tenant sent.
    ("/api/v1/backup", Need(Right.BACKUP, everywhere=True)),
    # On the embedded store the route itself asks for more: `spanhouse_server.sql.access`.
    ("/api/v1/sql", Need(Right.READ)),
    ("/api/v1/deletions", Need(Right.CONTROL)),
    ("/api/v1/retention", Need(Right.CONTROL)),
)
"""What requests need whatever their method."""


def _of_approvals(path: str, *, reading: bool) -> Right:
    """Return what the approvals need: agents ask, wait and take back; all else is for who may answer."""
    parts = path.removeprefix("/api/v1/approvals").strip("/").split("/")
    one = len(parts) == 1 and parts[0] != ""
    asks = one if reading else parts in ([""], [parts[0], "withdraw"])
    return Right.ASK if asks else Right.STEER
