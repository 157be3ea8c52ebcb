"""An operator's decision as an event of the tenant's control stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.audit import outbox

if TYPE_CHECKING:
    from spanhouse_server.control.flags import Flag


def note(connection: Connection, flag: Flag) -> int:
    """Write a decision down in the transaction that makes it: event ``kill`` for a stop, else ``override``.

    It stands in the trail of the tenant it is for; one that holds in all tenants in that of the default tenant.
    """
    tenant = flag.tenant or (flag.target if flag.scope == "tenant" else "") or DEFAULT_TENANT
    said = flag.as_json()
    if flag.action == "stop":
        return outbox.note(connection, "kill", said, tenant=tenant, at=flag.created_at)
    said["what"] = " ".join(each for each in (flag.action, flag.scope, flag.target) if each)
    return outbox.note(connection, "override", said, tenant=tenant, at=flag.created_at)
