"""Who may send statements: on a ClickHouse server whoever may read, on the embedded store an operator."""

from __future__ import annotations

from spanhouse_server.keys.rights import Access, Need, Right
from spanhouse_storage.contract import StoreInfo


def lacking(access: Access, info: StoreInfo) -> Need | None:
    """Return what the caller needs and has not; None where they may send statements.

    A ClickHouse server keeps a read-only session in its place by itself. The embedded engine does not quite: there a
    statement runs with the rights of this process, and the door's list is the only wall, so it is not for everybody.
    """
    need = Need(Right.READ) if info.kind == "server" else Need(Right.QUERY, everywhere=True)
    return None if access.may(need) else need
