"""The parts of a running server in one place, for routes to take what they need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from fastapi import Request
from sqlalchemy import Engine

from spanhouse_alerts.engine import AlertEngine
from spanhouse_analysis.job import FactsJob
from spanhouse_collector.pipeline import Pipeline
from spanhouse_collector.policy import PolicyFile
from spanhouse_server.approvals.desk import Desk
from spanhouse_server.audit.job import Checkpointing
from spanhouse_server.audit.trail import Trail
from spanhouse_server.caps import CappedStore, QueryCaps
from spanhouse_server.control.board import Board
from spanhouse_server.deletions.erasing import Erasing
from spanhouse_server.deletions.expiring import Expiring
from spanhouse_server.keys.gate import access_of
from spanhouse_server.keys.guard import Guard
from spanhouse_server.leadership import Alone, Leadership
from spanhouse_server.readiness import Readiness
from spanhouse_server.reprocess import Reprocessing
from spanhouse_server.settings import Settings
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.tail import Tail
from spanhouse_storage.contract import Store
from spanhouse_storage.tenants import TenantStore


@dataclass(frozen=True)
class Parts:
    """Everything a running server is made of; built by ``process.build`` and taken down in reverse order."""

    settings: Settings
    store: Store
    state: Engine
    pipeline: Pipeline
    facts: FactsJob
    alerts: AlertEngine
    board: Board
    desk: Desk
    trail: Trail
    checkpoints: Checkpointing
    operator_token: str
    guard: Guard
    readiness: Readiness
    reprocessing: Reprocessing
    policy: PolicyFile
    erasing: Erasing
    expiring: Expiring
    leadership: Leadership | Alone
    sql: SqlDoor
    tail: Tail


def parts_of(request: Request) -> Parts:
    """Return the parts of the server that answers this request, the store narrowed to the caller's tenants."""
    parts = whole(request)
    return replace(parts, store=narrowed(parts, access_of(request).tenants))


def narrowed(parts: Parts, tenants: frozenset[str] | None) -> Store:
    """Return the store for questions from outside: each held to the caps, and to these tenants where some are named."""
    store = CappedStore(parts.store, QueryCaps.of(parts.settings))
    return store if tenants is None else TenantStore(store, tenants)


def whole(request: Request) -> Parts:
    """Return the parts with the store of all tenants, for routes that show nothing of it."""
    return cast("Parts", request.app.state.parts)
